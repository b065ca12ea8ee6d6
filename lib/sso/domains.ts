/**
 * Domains that a workspace has proven to be its own, by a TXT record that only whoever runs the domain can make:
 *
 *     _portcullis.example.com  TXT  "portcullis-domain=pcd_…"
 *
 * Of two workspaces one has a domain. The record is looked at again every day; when the name servers say for a week that
 * it is gone, the domain is the workspace's no longer: nobody joins by it, and the sign-in page sends nobody there. That
 * they do not answer says nothing.
 *
 * @module
 */
import { domainToASCII } from 'node:url'

import { actorOf } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { isUniqueViolation } from '../db/retry'
import { AppError } from '../errors'
import type { SignInLimits } from '../identity/limits'
import { brand, newSecret, type TenantId } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import type { TxtLookup } from './txt'

export const MAX_DOMAINS = 10
export const RECHECK_SECONDS = 24 * 3_600
const LAPSE_DAYS = 7
const DOMAIN = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/
const MAX_DOMAIN = 240 // with the label in front it is a name still

export interface SignInDomain {
  readonly domain: string
  readonly recordName: string
  readonly recordValue: string
  readonly verifiedAt: Date | null
  readonly checkedAt: Date | null
  /** Since when the record was not there, of a domain that was proven. */
  readonly missingSince: Date | null
}

export type DomainCheck = 'verified' | 'record_missing' | 'record_other' | 'no_answer' | 'taken'

export interface SignInDomains {
  list(principal: MemberPrincipal): Promise<readonly SignInDomain[]>
  add(principal: MemberPrincipal, domain: string): Promise<SignInDomain>
  /** Looks the record up now. */
  verify(
    principal: MemberPrincipal,
    domain: string,
  ): Promise<{ readonly result: DomainCheck; readonly domain: SignInDomain }>
  remove(principal: MemberPrincipal, domain: string): Promise<void>
}

export interface SignInDomainsDeps {
  readonly appDb: AppDb
  readonly events: RecordsEvents
  readonly lookupTxt: TxtLookup
  readonly limits: Pick<SignInLimits, 'count'>
}

/** The domains proven now. */
export async function verifiedDomains(tx: Pick<AppTx, '$queryRaw'>, tenantId: TenantId): Promise<string[]> {
  const rows = await tx.$queryRaw<{ domain: string }[]>`
    SELECT domain FROM sign_in_domain WHERE tenant_id = ${tenantId} AND verified_at IS NOT NULL`
  return rows.map(({ domain }) => domain)
}

export function createSignInDomains({ appDb, events, lookupTxt, limits }: SignInDomainsDeps): SignInDomains {
  const load = async (tx: AppTx, tenantId: TenantId, domain: string): Promise<Row> => {
    const row = await tx.signInDomain.findUnique({ where: { tenantId_domain: { tenantId, domain } } })
    if (row === null) throw notListed()
    return row
  }

  return {
    async list(principal) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) =>
        (await tx.signInDomain.findMany({ where: { tenantId }, orderBy: { domain: 'asc' } })).map(toDomain),
      )
    },

    async add(principal, given) {
      checkPermission(principal, 'sign_in.manage')
      const domain = parseDomain(given)
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('sign_in_domains ' || ${tenantId}, 0))`
        const known = await tx.signInDomain.findUnique({ where: { tenantId_domain: { tenantId, domain } } })
        if (known !== null) return toDomain(known)
        if ((await tx.signInDomain.count({ where: { tenantId } })) >= MAX_DOMAINS)
          throw new AppError(
            'resource.limit_exceeded',
            `A workspace has at most ${MAX_DOMAINS} domains. Remove one first.`,
          )
        const row = await tx.signInDomain.create({ data: { tenantId, domain, challenge: newSecret('pcd_') } })
        await events.event(tx, {
          tenantId,
          action: 'sign_in.domain_added',
          actor: actorOf(principal),
          detail: { domain },
          network: principal.network,
        })
        return toDomain(row)
      })
    },

    async verify(principal, given) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      await limits.count('sso', { network: principal.network, isKnown: () => Promise.resolve(true) })
      const asked = await appDb.tenant(tenantId, (tx) => load(tx, tenantId, given))
      const result = await ask(lookupTxt, asked)
      const write = (check: DomainCheck) =>
        appDb.tenant(tenantId, async (tx) => {
          // Of the very challenge that was looked for: a domain removed and added meanwhile has another.
          const same = { tenantId, domain: asked.domain, challenge: asked.challenge }
          const at = new Date()
          if (check === 'verified') {
            const { count } = await tx.signInDomain.updateMany({
              where: { ...same, verifiedAt: null },
              data: { verifiedAt: at },
            })
            if (count === 1)
              await events.event(tx, {
                tenantId,
                action: 'sign_in.domain_verified',
                actor: actorOf(principal),
                detail: { domain: asked.domain },
                network: principal.network,
              })
          }
          const { count } = await tx.signInDomain.updateMany({
            where: same,
            data: { checkedAt: at, ...(check === 'verified' ? { missingSince: null } : {}) },
          })
          if (count === 0) throw notListed()
          return toDomain(await load(tx, tenantId, asked.domain))
        })
      try {
        return { result, domain: await write(result) }
      } catch (error) {
        // Whoever is told this has the domain's name servers in hand.
        if (isUniqueViolation(error)) return { result: 'taken', domain: await write('taken') }
        throw error
      }
    },

    async remove(principal, domain) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        const { count } = await tx.signInDomain.deleteMany({ where: { tenantId, domain } })
        if (count === 0) throw notListed()
        await events.event(tx, {
          tenantId,
          action: 'sign_in.domain_removed',
          actor: actorOf(principal),
          detail: { domain },
          network: principal.network,
        })
      })
    },
  }
}

/** By the worker: looks at the domains nobody looked at for a day. @returns how many were */
export async function recheckDomains(
  { appDb, events, lookupTxt }: Pick<SignInDomainsDeps, 'appDb' | 'events' | 'lookupTxt'>,
  limit = 100,
): Promise<number> {
  const due = await appDb.global.$queryRaw<{ tenant_id: string; domain: string }[]>`
    SELECT tenant_id, domain FROM due_sign_in_domains(${RECHECK_SECONDS}::int, ${limit}::int)`
  for (const { tenant_id, domain } of due) {
    const tenantId = brand<'tenant'>(tenant_id)
    const row = await appDb.tenant(tenantId, (tx) =>
      tx.signInDomain.findUnique({ where: { tenantId_domain: { tenantId, domain } } }),
    )
    if (row === null) continue
    const result = await ask(lookupTxt, row)
    const isThere = result === 'verified'
    const isGone = result === 'record_missing' || result === 'record_other'
    await appDb.tenant(tenantId, async (tx) => {
      const rows = await tx.$queryRaw<{ lapsed: boolean }[]>`
        UPDATE sign_in_domain SET checked_at = now(),
            missing_since = CASE WHEN ${isThere} THEN NULL WHEN ${isGone} THEN COALESCE(missing_since, now()) ELSE missing_since END,
            verified_at = CASE WHEN ${isGone} AND missing_since < now() - make_interval(days => ${LAPSE_DAYS}::int) THEN NULL ELSE verified_at END
         WHERE tenant_id = ${tenantId} AND domain = ${domain} AND challenge = ${row.challenge} AND verified_at IS NOT NULL
        RETURNING verified_at IS NULL AS lapsed`
      if (rows[0]?.lapsed === true)
        await events.never(tx, {
          tenantId,
          action: 'sign_in.domain_lapsed',
          actor: { kind: 'system' },
          detail: { domain },
          reason: result,
        })
    })
  }
  return due.length
}

interface Row {
  readonly domain: string
  readonly challenge: string
  readonly verifiedAt: Date | null
  readonly checkedAt: Date | null
  readonly missingSince: Date | null
}

/** Asks the name servers; never inside a transaction. */
async function ask(
  lookupTxt: TxtLookup,
  { domain, challenge }: Pick<Row, 'domain' | 'challenge'>,
): Promise<Exclude<DomainCheck, 'taken'>> {
  const answer = await lookupTxt(recordName(domain))
  if (answer.kind === 'unknown') return 'no_answer'
  if (answer.kind === 'absent') return 'record_missing'
  return answer.records.some((record) => record.trim() === recordValue(challenge)) ? 'verified' : 'record_other'
}

const notListed = () =>
  new AppError('request.invalid', 'This domain is not one of this workspace’s.', { field: 'domain' })

const recordName = (domain: string) => `_portcullis.${domain}`
const recordValue = (challenge: string) => `portcullis-domain=${challenge}`

function toDomain(row: Row): SignInDomain {
  const { domain, challenge, verifiedAt, checkedAt, missingSince } = row
  return {
    domain,
    recordName: recordName(domain),
    recordValue: recordValue(challenge),
    verifiedAt,
    checkedAt,
    missingSince,
  }
}

/** @throws AppError `request.invalid` */
function parseDomain(given: string): string {
  const domain = domainToASCII(given.normalize('NFKC').trim().replace(/^@/, '').replace(/\.$/, '')).toLowerCase()
  if (domain.length > MAX_DOMAIN || !DOMAIN.test(domain) || /^[\d.]+$/.test(domain))
    throw new AppError('request.invalid', 'This is not a domain, such as example.com.', { field: 'domain' })
  return domain
}
