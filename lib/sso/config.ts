/**
 * The issuer through which the people of a workspace sign in: set by its owners and admins, tried before it is relied on,
 * enforced only after somebody came through it, and removed with every session that it made.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import type { SignInLimits } from '../identity/limits'
import { brand, newId, type Id, type PersonId, type TenantId } from '../ids'
import type { ExchangeProblem, IssuerClient, Issuers, IssuerDocument } from '../providers/issuer'
import { Secret } from '../secret'
import type { RecordsEvents } from '../tenancy/events'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal, Role } from '../tenancy/principal'
import { parseRole, reaches } from '../tenancy/role'
import { verifiedDomains } from './domains'
import { openClientSecret, sealClientSecret, type SignInKeys } from './secret'

export type JoinRole = Exclude<Role, 'owner'>

export interface SignInConfig {
  readonly id: Id<'signInConfig'>
  readonly issuer: string
  readonly clientId: string
  /** What to register at the issuer, exactly. */
  readonly redirectUri: string
  /** Where people of this workspace begin. */
  readonly signInUrl: string
  /** What a newcomer becomes; null: only members sign in. */
  readonly joinRole: JoinRole | null
  readonly isEnforced: boolean
  /** When somebody last came through it. */
  readonly signedInAt: Date | null
  readonly updatedAt: Date
}

export interface SignInConfigInput {
  readonly issuer: string
  readonly clientId: string
  /** Absent: the one that is stored stays. It does not stay when issuer or client change. */
  readonly clientSecret?: string | undefined
  readonly joinRole: JoinRole | null
}

export interface ConfigCheck {
  readonly ok: boolean
  /** Step by step, in the order in which they were tried; the first failure is the last step. */
  readonly steps: readonly {
    readonly name: 'discovery' | 'keys' | 'client' | 'domain'
    readonly problem: ExchangeProblem | 'no_domain' | null
    /** The issuer's own words where they help. */
    readonly detail: string | null
  }[]
}

export interface LinkedMember {
  readonly id: Id<'personIdentity'>
  readonly personId: PersonId
  readonly name: string
  readonly email: string
  readonly label: string
  readonly lastUsedAt: Date
}

export interface SignInConfigs {
  find(principal: MemberPrincipal): Promise<SignInConfig | undefined>
  /** The workspace's name in addresses, where it has single sign-on. For every member. */
  slugOf(principal: MemberPrincipal): Promise<string | undefined>
  /** Adds or changes. A changed issuer forgets who its people were; a changed issuer or client ends its sessions and its enforcement. */
  save(principal: MemberPrincipal, input: SignInConfigInput): Promise<SignInConfig>
  /** @throws AppError `resource.conflict` before anybody came through it, or without a proven domain */
  enforce(principal: MemberPrincipal, isEnforced: boolean): Promise<SignInConfig>
  remove(principal: MemberPrincipal): Promise<void>
  /** Tries what is stored. */
  check(principal: MemberPrincipal): Promise<ConfigCheck>
  links(principal: MemberPrincipal): Promise<readonly LinkedMember[]>
  /**
   * Forgets who a member is at the issuer, and ends the sessions they have by it.
   *
   * @throws AppError `resource.not_found` for no member, `resource.conflict` for one who is not linked
   */
  unlink(principal: MemberPrincipal, personId: string): Promise<void>
}

export interface SignInConfigsDeps {
  readonly appDb: AppDb
  readonly events: RecordsEvents
  readonly keys: SignInKeys
  readonly issuers: Issuers
  /** What is asked of others on somebody's behalf is counted: nobody scans with it. */
  readonly limits: Pick<SignInLimits, 'count'>
  readonly publicUrl: string
}

const MAX_LINKS = 500

export const redirectUriOf = (publicUrl: string, configId: string): string =>
  `${publicUrl}/signin/sso/callback/${configId}`

export function createSignInConfigs(deps: SignInConfigsDeps): SignInConfigs {
  const { appDb, events, keys, issuers, publicUrl } = deps
  const count = ({ network }: MemberPrincipal) =>
    deps.limits.count('sso', { network, isKnown: () => Promise.resolve(true) })

  async function read(tx: AppTx, tenantId: TenantId): Promise<SignInConfig | undefined> {
    const row = await tx.signInConfig.findUnique({ where: { tenantId } })
    if (row === null) return undefined
    const tenant = await tx.tenant.findUniqueOrThrow({ where: { id: tenantId }, select: { slug: true } })
    return {
      id: brand(row.id),
      issuer: row.issuer,
      clientId: row.clientId,
      redirectUri: redirectUriOf(publicUrl, row.id),
      signInUrl: `${publicUrl}/login/sso?workspace=${tenant.slug}`,
      joinRole: joinRoleOf(row.joinRole),
      isEnforced: row.enforced,
      signedInAt: row.signedInAt,
      updatedAt: row.updatedAt,
    }
  }
  const load = async (tx: AppTx, tenantId: TenantId): Promise<SignInConfig> => {
    const found = await read(tx, tenantId)
    if (found === undefined) throw notSetUp()
    return found
  }

  /** The issuer as its own document spells it: people leave out, or add, the slash that Auth0 ends its name with. */
  async function canonicalIssuer(given: string): Promise<string> {
    const issuer = given.trim()
    const found = await issuers.discover(issuer)
    if (found.kind === 'failed' && found.problem === 'issuer_mismatch') {
      const other = issuer.endsWith('/') ? issuer.slice(0, -1) : `${issuer}/`
      if (found.detail === other) return other
    }
    if (found.kind === 'failed' && (found.problem === 'issuer_invalid' || found.problem === 'issuer_shared'))
      throw new AppError('request.invalid', ISSUER_WORDS[found.problem], { field: 'issuer' })
    return issuer
  }

  return {
    async find(principal) {
      checkPermission(principal, 'sign_in.manage')
      return appDb.tenant(principal.tenantId, (tx) => read(tx, principal.tenantId))
    },

    async slugOf(principal) {
      checkPermission(principal, 'workspace.read')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        if ((await tx.signInConfig.count({ where: { tenantId } })) === 0) return undefined
        return (await tx.tenant.findUnique({ where: { id: tenantId }, select: { slug: true } }))?.slug
      })
    },

    async save(principal, input) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      if (input.joinRole !== null && !reaches(principal.role, input.joinRole))
        throw new AppError('auth.forbidden', 'Nobody gives a role above their own.')
      await count(principal)
      const issuer = await canonicalIssuer(input.issuer)
      const clientId = input.clientId.trim()
      const before = await appDb.tenant(tenantId, (tx) => tx.signInConfig.findUnique({ where: { tenantId } }))
      const isSameClient = before?.issuer === issuer && before.clientId === clientId
      // A secret never follows to another issuer: that would hand it to whoever runs that one.
      if (input.clientSecret === undefined && !isSameClient)
        throw new AppError('request.invalid', 'Enter the client secret.', { field: 'clientSecret' })
      const id: Id<'signInConfig'> = before === null ? newId('signInConfig') : brand(before.id)
      const sealed =
        input.clientSecret === undefined
          ? undefined
          : await sealClientSecret(keys, tenantId, id, new Secret(input.clientSecret))
      return appDb.tenant(tenantId, async (tx) => {
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('sign_in_config ' || ${tenantId}, 0))`
        const now = await tx.signInConfig.findUnique({ where: { tenantId } })
        if (now?.updatedAt.getTime() !== before?.updatedAt.getTime())
          throw new AppError('resource.conflict', 'Somebody else has just changed this. Load the page again.')
        const data = {
          issuer,
          clientId,
          joinRole: input.joinRole,
          updatedAt: new Date(),
          ...(sealed === undefined ? {} : { sealedSecret: sealed.sealed, keyVersion: sealed.keyVersion }),
          // Nobody has come through this one yet.
          ...(isSameClient ? {} : { enforced: false, signedInAt: null }),
        }
        if (before === null) {
          if (sealed === undefined) throw new AppError('request.invalid', 'Enter the client secret.')
          await tx.signInConfig.create({
            data: {
              ...data,
              tenantId,
              id,
              sealedSecret: sealed.sealed,
              keyVersion: sealed.keyVersion,
              createdBy: principal.kind === 'operator' ? null : principal.personId,
            },
          })
        } else await tx.signInConfig.update({ where: { tenantId }, data })
        if (before !== null && !isSameClient) await endSessions(tx, tenantId, 'sign_in_config_changed')
        if (before !== null && before.issuer !== issuer)
          await tx.$executeRaw`DELETE FROM person_identity WHERE tenant_id = ${tenantId}`
        await events.event(tx, {
          tenantId,
          action: before === null ? 'sign_in.config_added' : 'sign_in.config_changed',
          actor: actorOf(principal),
          targetId: id,
          detail: {
            issuer,
            clientId,
            joinRole: input.joinRole ?? 'none',
            secretReplaced: sealed !== undefined,
            wasEnforced: before?.enforced === true,
          },
          network: principal.network,
        })
        return load(tx, tenantId)
      })
    },

    async enforce(principal, isEnforced) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        const config = await load(tx, tenantId)
        if (config.isEnforced === isEnforced) return config
        if (isEnforced && config.signedInAt === null)
          throw new AppError(
            'resource.conflict',
            'First sign in through it once: what nobody came through locks everybody out.',
          )
        if (isEnforced && (await verifiedDomains(tx, tenantId)).length === 0)
          throw new AppError('resource.conflict', 'First prove a domain: it says whom this is for.')
        await tx.signInConfig.update({ where: { tenantId }, data: { enforced: isEnforced, updatedAt: new Date() } })
        await events.event(tx, {
          tenantId,
          action: isEnforced ? 'sign_in.enforced' : 'sign_in.enforcement_ended',
          actor: actorOf(principal),
          targetId: config.id,
          network: principal.network,
        })
        return load(tx, tenantId)
      })
    },

    async remove(principal) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        // A sign-in under way holds this row until its session is in: then it is among those that end.
        await tx.$queryRaw`SELECT 1 FROM sign_in_config WHERE tenant_id = ${tenantId} FOR UPDATE`
        const config = await load(tx, tenantId)
        const sessions = await endSessions(tx, tenantId, 'sign_in_config_removed')
        await tx.$executeRaw`DELETE FROM sign_in_attempt WHERE tenant_id = ${tenantId}`
        await tx.$executeRaw`DELETE FROM person_identity WHERE tenant_id = ${tenantId}`
        await tx.signInConfig.delete({ where: { tenantId } })
        await events.never(tx, {
          tenantId,
          action: 'sign_in.config_removed',
          actor: actorOf(principal),
          targetId: config.id,
          detail: { issuer: config.issuer, sessionsEnded: sessions },
          network: principal.network,
        })
      })
    },

    async check(principal) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      await count(principal)
      const { client, configId, domains } = await appDb.tenant(tenantId, async (tx) => {
        const row = await tx.signInConfig.findUnique({ where: { tenantId } })
        if (row === null) throw notSetUp()
        return { client: row, configId: row.id, domains: await verifiedDomains(tx, tenantId) }
      })
      const opened = await clientOf(keys, tenantId, client)
      return tryOut(issuers, opened, redirectUriOf(publicUrl, configId), domains)
    },

    async links(principal) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      const rows = await appDb.global.$queryRaw<
        { id: string; person_id: string; name: string; email: string; label: string; last_used_at: Date }[]
      >`
        SELECT i.id, i.person_id, p.name, p.email, i.label, i.last_used_at FROM person_identity i JOIN person p ON p.id = i.person_id
         WHERE i.tenant_id = ${tenantId} ORDER BY i.last_used_at DESC, i.id LIMIT ${MAX_LINKS}`
      return rows.map((row) => ({
        id: brand(row.id),
        personId: brand(row.person_id),
        name: row.name,
        email: row.email,
        label: row.label,
        lastUsedAt: row.last_used_at,
      }))
    },

    async unlink(principal, personId) {
      checkPermission(principal, 'sign_in.manage')
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        if ((await tx.membership.count({ where: { tenantId, personId } })) === 0) throw notFound()
        const rows = await tx.$queryRaw<{ id: string }[]>`
          DELETE FROM person_identity WHERE tenant_id = ${tenantId} AND person_id = ${personId} RETURNING id`
        const identityId = rows[0]?.id
        if (identityId === undefined) throw new AppError('resource.conflict', 'This member is not linked.')
        await tx.$executeRaw`
          UPDATE web_session SET status = 'ended', ended_at = now(), ended_reason = 'sign_in_unlinked'
           WHERE only_tenant_id = ${tenantId} AND person_id = ${personId} AND status <> 'ended'`
        await events.never(tx, {
          tenantId,
          action: 'sign_in.unlinked',
          actor: actorOf(principal),
          targetId: identityId,
          detail: { personId },
          network: principal.network,
        })
      })
    },
  }
}

interface ConfigRow {
  readonly id: string
  readonly issuer: string
  readonly clientId: string
  readonly sealedSecret: Uint8Array
  readonly keyVersion: number
}

/** With the secret opened, for as long as one exchange takes. */
export async function clientOf(keys: SignInKeys, tenantId: TenantId, row: ConfigRow): Promise<IssuerClient> {
  const clientSecret = await openClientSecret(keys, tenantId, brand(row.id), {
    sealed: new Uint8Array(row.sealedSecret),
    keyVersion: row.keyVersion,
  })
  return { issuer: row.issuer, clientId: row.clientId, clientSecret }
}

/** Every session that came through this workspace's issuer. @returns how many ended */
async function endSessions(tx: AppTx, tenantId: TenantId, reason: string): Promise<number> {
  return tx.$executeRaw`
    UPDATE web_session SET status = 'ended', ended_at = now(), ended_reason = ${reason}
     WHERE only_tenant_id = ${tenantId} AND status <> 'ended'`
}

async function tryOut(
  issuers: Issuers,
  client: IssuerClient,
  redirectUri: string,
  domains: readonly string[],
): Promise<ConfigCheck> {
  const steps: ConfigCheck['steps'][number][] = []
  const step = (name: (typeof steps)[number]['name'], problem: (typeof steps)[number]['problem'], detail?: string) => {
    steps.push({ name, problem, detail: detail ?? null })
    return problem === null
  }
  const found = await issuers.discover(client.issuer)
  if (found.kind === 'failed') {
    step('discovery', found.problem, found.detail)
    return { ok: false, steps }
  }
  const document: IssuerDocument = found.document
  step('discovery', null, new URL(document.authorization).host)
  if (!step('keys', (await issuers.checkKeys(document)) ?? null)) return { ok: false, steps }
  if (!step('client', (await issuers.checkClient(document, client, redirectUri)) ?? null)) return { ok: false, steps }
  const ok = step('domain', domains.length === 0 ? 'no_domain' : null, domains.join(', '))
  return { ok, steps }
}

const notSetUp = () => new AppError('resource.conflict', 'Single sign-on is not set up in this workspace.')

const joinRoleOf = (value: string | null): JoinRole | null => {
  const role = value === null ? undefined : parseRole(value)
  return role === undefined || role === 'owner' ? null : role
}

const ISSUER_WORDS = {
  issuer_invalid: 'The issuer is an https address without query or fragment, such as https://login.example.com.',
  issuer_shared:
    'This address stands for every directory at once. Use your own: https://login.microsoftonline.com/<directory id>/v2.0.',
} as const
