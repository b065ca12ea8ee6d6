/**
 * Why an account cannot be used, whom to ask and where, for the agent that met it: looked up when a call has failed, never
 * before. A person's name is told only where their workspace lets agents see names; their address never is. What people
 * and providers chose as names is one short line between quotes, because a model reads it.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { FreshCache } from '../fresh-cache'
import type { ConnectionId, PersonId, TenantId } from '../ids'
import type { Log } from '../log'
import { isTrouble, plainLabel, reasonOf, type Trouble } from '../notifications/words'
import { displayNameOf } from '../providers/catalog/faces'
import type { Account } from './directory'
import type { CallFailure, Links } from './failure'

export interface AccountTrouble {
  readonly state: Trouble | 'working' | 'gone'
  readonly reason: string | null
  /** Null: a moment ago. */
  readonly since: Date | null
  readonly ownerId: PersonId | null
  /** Undefined where it is not known or may not be told. */
  readonly ownerName: string | undefined
  /** Whether the owner still belongs to the workspace. */
  readonly hasOwner: boolean
}

export interface TroubleDesk {
  /** The failure's own words, with what is known about the account. Never fails: then they stay as they are. */
  wordsFor(
    asked: { readonly tenantId: TenantId; readonly personId: PersonId | null },
    account: Account,
    failure: Pick<CallFailure, 'reason' | 'text'> & { readonly outcome?: CallFailure['outcome'] },
  ): Promise<string>
}

/** Failures that are about the account rather than about the call. */
const ABOUT_ACCOUNT = new Set([
  'connection_reauthorization_required',
  'connection_already_revoked',
  'connection_blocked',
  'connection_not_ready',
  'resource_not_found',
  'provider_unauthorized',
  'provider_unavailable',
  'provider_rejected',
])

export function createTroubleDesk(deps: {
  readonly appDb: AppDb
  readonly links: Links
  readonly clock: Clock
  readonly log: Log
}): TroubleDesk {
  const { appDb, links, clock, log } = deps
  // An agent that tries again and again asks the database now and then.
  const known = new FreshCache<AccountTrouble>({ maxEntries: 2_000, maxAgeMs: 1_500, refreshAfterMs: 1_500, clock })

  return {
    async wordsFor({ tenantId, personId }, account, failure) {
      // That something may have been carried out is worth more than why the answer is missing.
      if (!ABOUT_ACCOUNT.has(failure.reason) || failure.outcome === 'unknown') return failure.text
      try {
        const trouble = await known.get(`${tenantId} ${account.connectionId}`, () =>
          readTrouble(appDb, tenantId, account.connectionId),
        )
        const seen = asFailed(trouble, failure.reason)
        return troubleWords(seen, account, { links, personId, now: clock.now() }) ?? failure.text
      } catch (error) {
        log.warn({ err: error }, 'what is wrong with an account could not be looked up')
        return failure.text
      }
    },
  }
}

/** The state is copied here a moment after it changed: the first call that met the change knows better. */
function asFailed(trouble: AccountTrouble, reason: string): AccountTrouble {
  if (trouble.state !== 'working') return trouble
  const state = Object.hasOwn(LOST, reason) ? LOST[reason] : undefined
  return state === undefined ? trouble : { ...trouble, state, reason: null, since: null }
}

const LOST: Readonly<Record<string, Trouble>> = {
  connection_reauthorization_required: 'reauthorization_required',
  connection_already_revoked: 'revoked',
}

async function readTrouble(appDb: AppDb, tenantId: TenantId, connectionId: ConnectionId): Promise<AccountTrouble> {
  const rows = await appDb.tenant(
    tenantId,
    (tx) => tx.$queryRaw<
      {
        readonly state: string
        readonly state_reason: string | null
        readonly state_at: Date
        readonly owner_person_id: PersonId | null
        readonly is_member: boolean
        readonly name: string | null
        readonly may_tell: boolean
      }[]
    >`
      SELECT c.state, c.state_reason, c.state_at, c.owner_person_id, m.person_id IS NOT NULL AS is_member, p.name,
             t.agents_see_owner_names AS may_tell
        FROM connection c JOIN tenant t ON t.id = c.tenant_id
        LEFT JOIN membership m ON m.tenant_id = c.tenant_id AND m.person_id = c.owner_person_id
        LEFT JOIN person p ON p.id = m.person_id AND p.disabled_at IS NULL
       WHERE c.tenant_id = ${tenantId} AND c.id = ${connectionId} AND c.access <> 'deleted'`,
  )
  const [row] = rows
  if (row === undefined)
    return { state: 'gone', reason: null, since: new Date(0), ownerId: null, ownerName: undefined, hasOwner: false }
  const name = plainLabel((row.name ?? '').replaceAll('"', ' '), 60)
  return {
    state: isTrouble(row.state) ? row.state : 'working',
    reason: row.state_reason,
    since: row.state_at,
    ownerId: row.owner_person_id,
    ownerName: row.may_tell && name !== '' ? name : undefined,
    hasOwner: row.is_member,
  }
}

/** @returns undefined when nothing is known that the failure's own words do not say */
export function troubleWords(
  trouble: AccountTrouble,
  account: Account,
  context: { readonly links: Links; readonly personId: PersonId | null; readonly now: Date },
): string | undefined {
  const { links, personId, now } = context
  const provider = displayNameOf(account.provider)
  const what = `${provider} account "${plainLabel(account.label)}"`
  const page = links.page(account)
  const who = whom(trouble, personId)
  const reason = reasonOf(trouble.reason, provider)
  const because = reason === undefined ? '' : ` The reason: ${reason}.`
  const since =
    trouble.since === null
      ? 'since a moment ago'
      : `since ${trouble.since.toISOString().slice(0, 16).replace('T', ' ')} UTC`
  const again = `Ask ${who} to open ${links.reconnect(account)} and connect it again, then try again. Its page is ${page}.`
  switch (trouble.state) {
    case 'working':
      return undefined
    case 'gone':
      return `The ${what} is not connected any more. If it is still needed, ask the user to connect it at ${links.connect(account.provider)}.`
    case 'reauthorization_required':
      return `The ${what} has to be connected again, ${since}.${because} ${again}`
    case 'revoked':
      return `Access to the ${what} has ended, ${since}.${because} Trying again does not help until it is connected again. ${again}`
    case 'suspended':
      return `The ${what} is suspended, ${since}.${because} Trying again does not help. Ask ${who} to look at ${page}.`
    case 'degraded': {
      const isLong = trouble.since !== null && now.getTime() - trouble.since.getTime() > LONG_MS
      return `${provider} has not renewed the access to the ${what} ${since}. It is tried again by itself: try again in a few minutes. ${
        isLong
          ? `It has lasted for long: ask ${who} to look at ${page}.`
          : `If it stays so, ask ${who} to look at ${page}.`
      }`
    }
  }
}

const LONG_MS = 3_600_000

/** By name where that may be told; somebody who can do something in any case. */
function whom({ ownerId, ownerName, hasOwner }: AccountTrouble, personId: PersonId | null): string {
  if (!hasOwner) return 'an owner or admin of the workspace'
  if (ownerName !== undefined) return `"${ownerName}", who connected it,`
  return ownerId === personId ? 'the user' : 'the person who connected it'
}
