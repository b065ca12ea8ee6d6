/**
 * Agent sessions: the only thing an agent holds. A session key is shown once and kept as a hash; it names one agent, ends
 * by itself, and one click ends it sooner.
 *
 * A session uses the accounts of the person who issued it, so that a colleague's agent cannot read that person's mail.
 * Only the operator, at the machine, issues sessions that act for the whole workspace.
 *
 * @module
 */
import { SHORT_LOCK_MS, type Blockage } from '../audit/blockage'
import { actorOf } from '../audit/record'
import type { Clock } from '../clock'
import type { AppDb, AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { FreshCache } from '../fresh-cache'
import {
  brand,
  hashSecret,
  isId,
  newId,
  newSecret,
  type AgentId,
  type AgentSessionId,
  type CallId,
  type PersonId,
  type TenantId,
} from '../ids'
import type { Log } from '../log'
import { SESSION_SCOPES } from '../policy/decide'
import { Secret } from '../secret'
import { agentIdOf, CONTROL, loadAgent, personOf, type TenancyAudit } from './agents'
import { checkPermission } from './permission'
import type { MemberPrincipal } from './principal'
import { holdLiveSession } from './quotas'

export const SESSION_KEY_PREFIX = 'pcs_'
const SESSION_KEY = /^pcs_[A-Za-z0-9_-]{43}$/
/** Of our authorization server. A token names a session and lasts minutes; it opens nothing the session does not. */
const ACCESS_TOKEN = /^poa_[A-Za-z0-9_-]{43}$/
const DAY_SECONDS = 86_400
export const DEFAULT_SESSION_SECONDS = 90 * DAY_SECONDS
export const MAX_SESSION_SECONDS = 365 * DAY_SECONDS
export const MIN_SESSION_SECONDS = 60
const MAX_LISTED = 500
/** No call takes longer. */
const LONGEST_CALL_SECONDS = 360
const TOUCH_INTERVAL_MS = 60_000
const MAX_TOUCHES_UNDER_WAY = 4

export interface AgentSessionView {
  readonly id: AgentSessionId
  readonly agentId: AgentId
  readonly kind: 'key' | 'oauth'
  readonly label: string
  /** The last characters of the key, to tell keys apart. */
  readonly hint: string
  readonly personId: PersonId | null
  readonly actsFor: 'person' | 'workspace'
  readonly scopes: readonly string[]
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly lastUsedAt: Date | null
  readonly endedAt: Date | null
  readonly endedReason: string | null
  /** What the client called itself when a person approved it. */
  readonly clientName: string | null
  /** The host its answers go to. */
  readonly clientHost: string | null
  /** Program and network of the last use, as far as they are known. */
  readonly lastClient: string | null
  readonly lastNetwork: string | null
}

export interface Revoked {
  readonly sessions: readonly AgentSessionView[]
  /** Calls that were permitted before; each ends within seconds, and its record says how. */
  readonly callsUnderWay: readonly CallId[]
}

export interface SeenUse {
  readonly network: string
  /** A name as it may be shown. */
  readonly client: string | undefined
}

export interface IssuedSession extends AgentSessionView {
  /** Given out here and nowhere else. */
  readonly sessionKey: Secret
}

/** A session that may act now. */
export interface LiveSession {
  readonly tenantId: TenantId
  readonly agentId: AgentId
  readonly agentSessionId: AgentSessionId
  /** Null: acts for the whole workspace. */
  readonly personId: PersonId | null
  readonly scopes: readonly string[]
  readonly expiresAt: Date
}

export interface AgentSessions {
  /** @throws AppError `resource.conflict` when the agent is disabled */
  issue(
    principal: MemberPrincipal,
    agentId: string,
    options?: { readonly label?: string | undefined; readonly expiresInSeconds?: number | undefined },
  ): Promise<IssuedSession>
  /** Live ones first, then the newest. */
  list(principal: MemberPrincipal, agentId?: string): Promise<AgentSessionView[]>
  /** Ends the session; ending it twice is the same. Never refused for want of a record. */
  revoke(principal: MemberPrincipal, sessionId: string): Promise<AgentSessionView & Pick<Revoked, 'callsUnderWay'>>
  /** Ends every live session of an agent, or of a person in this workspace. Never refused for want of a record. */
  revokeAll(
    principal: MemberPrincipal,
    of: { readonly agentId: string } | { readonly personId: string },
  ): Promise<Revoked>
  /** Who holds this key or access token, undefined when nobody may act by it. At most 1.5 seconds old; a call is checked exactly by its intent. */
  lookup(sessionKey: string): Promise<LiveSession | undefined>
  /** Notes the use, at most once a minute, without anybody waiting for it. */
  touch(session: LiveSession, seen?: SeenUse): void
}

export interface AgentSessionDependencies {
  readonly appDb: AppDb
  readonly audit: TenancyAudit & { readonly trail: Blockage }
  readonly clock: Clock
  readonly log: Log
}

export function createAgentSessions({ appDb, audit, clock, log }: AgentSessionDependencies): AgentSessions {
  const age = { maxAgeMs: 1_500, refreshAfterMs: 1_000, clock }
  // Guesses have a memory of their own, so that a flood of them does not push out the sessions in use.
  const live = new FreshCache<{ session: LiveSession | undefined }>({ ...age, maxEntries: 20_000 })
  const unknown = new FreshCache<{ session: LiveSession | undefined }>({ ...age, maxEntries: 5_000 })
  const touched = new Map<string, number>()
  let touchesUnderWay = 0

  async function findByKey(hash: Buffer): Promise<LiveSession | undefined> {
    const [found] = await appDb.global.$queryRaw<{ tenant_id: string; session_id: string }[]>`
      SELECT tenant_id, session_id FROM agent_session_by_hash(${hash})`
    return found === undefined ? undefined : find(found)
  }

  async function findByToken(hash: Buffer): Promise<LiveSession | undefined> {
    const [found] = await appDb.global.$queryRaw<
      { tenant_id: string; session_id: string; scope: string; expires_at: Date }[]
    >`SELECT tenant_id, session_id, scope, expires_at FROM agent_session_by_access_token(${hash})`
    const session = found === undefined ? undefined : await find(found)
    if (found === undefined || session === undefined) return undefined
    // The token may be narrower than what was approved, never wider; it ends before its session does.
    const scopes = new Set(found.scope.split(' '))
    return {
      ...session,
      scopes: session.scopes.filter((scope) => scopes.has(scope)),
      expiresAt: found.expires_at < session.expiresAt ? found.expires_at : session.expiresAt,
    }
  }

  async function find(found: {
    readonly tenant_id: string
    readonly session_id: string
  }): Promise<LiveSession | undefined> {
    const tenantId = brand<'tenant'>(found.tenant_id)
    const [row] = await appDb.tenant(
      tenantId,
      (tx) => tx.$queryRaw<LiveRow[]>`
        SELECT s.agent_id, s.person_id, s.acts_for, s.scopes, s.expires_at
          FROM agent_session s
          JOIN agent a ON a.tenant_id = s.tenant_id AND a.id = s.agent_id AND a.disabled_at IS NULL
          JOIN tenant t ON t.id = s.tenant_id AND t.disabled_at IS NULL
          LEFT JOIN membership m ON m.tenant_id = s.tenant_id AND m.person_id = s.person_id
          LEFT JOIN person p ON p.id = m.person_id AND p.disabled_at IS NULL
         WHERE s.tenant_id = ${tenantId} AND s.id = ${found.session_id} AND s.ended_at IS NULL AND s.expires_at > now()
           AND (s.acts_for = 'workspace' OR p.id IS NOT NULL)`,
    )
    if (row === undefined) return undefined
    return {
      tenantId,
      agentId: brand<'agent'>(row.agent_id),
      agentSessionId: brand<'agentSession'>(found.session_id),
      personId: row.acts_for === 'person' && row.person_id !== null ? brand<'person'>(row.person_id) : null,
      scopes: row.scopes,
      expiresAt: row.expires_at,
    }
  }

  async function noteUse(session: LiveSession, seen: SeenUse | undefined): Promise<void> {
    const { tenantId, agentId, agentSessionId: id } = session
    const now = clock.now()
    await appDb.tenant(tenantId, async (tx) => {
      await tx.agentSession.updateMany({
        where: { tenantId, id },
        data: {
          lastUsedAt: now,
          ...(seen === undefined ? {} : { lastNetwork: seen.network, lastClient: seen.client ?? null }),
        },
      })
      await tx.agent.updateMany({ where: { tenantId, id: agentId }, data: { lastUsedAt: now } })
    })
  }

  /** Asked after the revocation stands, so that none is missed. It is done by then; a list that cannot be had refuses nothing. */
  async function underWay(tenantId: TenantId, sessionIds: readonly string[]): Promise<CallId[]> {
    if (sessionIds.length === 0 || audit.trail.isBlocked) return []
    try {
      const rows = await appDb.tenant(tenantId, async (tx) => {
        await tx.$executeRaw`SELECT set_config('lock_timeout', ${String(SHORT_LOCK_MS)}, true)`
        return tx.$queryRaw<{ call_id: string }[]>`
          SELECT i.call_id FROM audit_record i
           WHERE i.tenant_id = ${tenantId} AND i.recorded_at > now() - make_interval(secs => ${LONGEST_CALL_SECONDS})
             AND i.kind = 'intent' AND i.decision = 'permit' AND i.agent_session_id = ANY (${[...sessionIds]}::text[])
             AND NOT EXISTS (SELECT 1 FROM audit_record o
                              WHERE o.tenant_id = i.tenant_id AND o.call_id = i.call_id AND o.kind = 'outcome')
           ORDER BY i.recorded_at DESC LIMIT ${MAX_LISTED}`
      })
      return rows.map((row) => brand<'call'>(row.call_id))
    } catch (error) {
      audit.trail.report()
      log.warn({ err: error }, 'calls under way could not be listed')
      return []
    }
  }

  return {
    async issue(principal, agentId, options = {}) {
      checkPermission(principal, 'session.issue')
      const id = agentIdOf(agentId)
      const label = cleanLabel(options.label ?? '')
      const seconds = lifetime(options.expiresInSeconds)
      const now = clock.now()
      const key = newSecret(SESSION_KEY_PREFIX)
      const sessionId = newId('agentSession', now)
      const person = personOf(principal)
      const row = await appDb.tenant(principal.tenantId, async (tx) => {
        const agent = await loadAgent(tx, principal, id)
        if (agent.disabledAt !== null)
          throw new AppError('resource.conflict', 'This agent is disabled. Enable it before you issue a session.')
        await holdLiveSession(tx, principal.tenantId, id, now)
        const created = await tx.agentSession.create({
          data: {
            tenantId: principal.tenantId,
            id: sessionId,
            agentId: id,
            kind: 'key',
            secretHash: Uint8Array.from(hashSecret(key)),
            secretHint: key.slice(-4),
            label,
            personId: person,
            actsFor: person === null ? 'workspace' : 'person',
            scopes: [...SESSION_SCOPES],
            createdAt: now,
            expiresAt: new Date(now.getTime() + seconds * 1_000),
          },
          omit: { secretHash: true },
        })
        await audit.event(tx, {
          tenantId: principal.tenantId,
          actor: actorOf(principal),
          network: principal.network,
          action: 'session.issued',
          agentId: id,
          agentSessionId: sessionId,
          targetId: sessionId,
          detail: { label, expiresAt: created.expiresAt.toISOString(), actsFor: created.actsFor },
        })
        return created
      })
      return { ...view(row), sessionKey: new Secret(key) }
    },

    async list(principal, agentId) {
      checkPermission(principal, 'session.read')
      const id = agentId === undefined ? undefined : agentIdOf(agentId)
      const rows = await appDb.tenant(principal.tenantId, async (tx) => {
        if (id !== undefined) await loadAgent(tx, principal, id)
        return tx.agentSession.findMany({
          where: { tenantId: principal.tenantId, ...(id === undefined ? {} : { agentId: id }) },
          omit: { secretHash: true },
          orderBy: [{ endedAt: { sort: 'desc', nulls: 'first' } }, { createdAt: 'desc' }, { id: 'desc' }],
          take: MAX_LISTED,
        })
      })
      return rows.map(view)
    },

    async revoke(principal, sessionId) {
      checkPermission(principal, 'session.revoke')
      if (!isId('agentSession', sessionId)) throw notFound()
      const row = await appDb.tenant(principal.tenantId, async (tx) => {
        const where = { tenantId: principal.tenantId, id: sessionId }
        const { count } = await tx.agentSession.updateMany({
          where: { ...where, endedAt: null },
          data: { endedAt: clock.now(), endedReason: 'revoked' },
        })
        const ended = await tx.agentSession.findUnique({ where: { tenantId_id: where }, omit: { secretHash: true } })
        if (ended === null) throw notFound()
        if (count > 0)
          await audit.never(tx, {
            tenantId: principal.tenantId,
            actor: actorOf(principal),
            network: principal.network,
            action: 'session.revoked',
            agentId: brand<'agent'>(ended.agentId),
            agentSessionId: sessionId,
            targetId: sessionId,
          })
        return ended
      })
      live.deleteWhere(({ session }) => session?.agentSessionId === sessionId)
      return { ...view(row), callsUnderWay: await underWay(principal.tenantId, [sessionId]) }
    },

    async revokeAll(principal, of) {
      checkPermission(principal, 'session.revoke')
      const { tenantId } = principal
      const now = clock.now()
      const rows = await appDb.tenant(tenantId, async (tx) => {
        const whose = await sessionsOf(tx, principal, of)
        const live = { tenantId, ...whose, endedAt: null, expiresAt: { gt: now } }
        const found = await tx.agentSession.findMany({ where: live, omit: { secretHash: true } })
        const ids = found.map(({ id }) => id)
        await tx.agentSession.updateMany({
          where: { tenantId, id: { in: ids }, endedAt: null },
          data: { endedAt: now, endedReason: 'revoked' },
        })
        const ended = await tx.agentSession.findMany({
          where: { tenantId, id: { in: ids }, endedAt: now },
          omit: { secretHash: true },
        })
        for (const { id, agentId } of ended)
          await audit.never(tx, {
            tenantId,
            actor: actorOf(principal),
            network: principal.network,
            action: 'session.revoked',
            agentId: brand<'agent'>(agentId),
            agentSessionId: brand<'agentSession'>(id),
            targetId: id,
          })
        return ended
      })
      const ids = new Set(rows.map(({ id }) => id))
      live.deleteWhere(({ session }) => session !== undefined && ids.has(session.agentSessionId))
      return { sessions: rows.map(view), callsUnderWay: await underWay(tenantId, [...ids]) }
    },

    async lookup(sessionKey) {
      const isToken = ACCESS_TOKEN.test(sessionKey)
      if (!isToken && !SESSION_KEY.test(sessionKey)) return undefined
      const hash = hashSecret(sessionKey)
      const id = hash.toString('base64')
      const guess = unknown.peek(id)
      if (guess !== undefined) return undefined
      const { session } = await live.get(id, async () => ({
        session: await (isToken ? findByToken(hash) : findByKey(hash)),
      }))
      if (session === undefined) {
        live.delete(id)
        unknown.set(id, { session })
        return undefined
      }
      return session.expiresAt > clock.now() ? session : undefined
    },

    touch(session, seen) {
      const now = clock.now().getTime()
      const last = touched.get(session.agentSessionId)
      if (last !== undefined && now - last < TOUCH_INTERVAL_MS && now >= last) return
      if (touchesUnderWay >= MAX_TOUCHES_UNDER_WAY) return // the next use tries again
      touched.delete(session.agentSessionId)
      touched.set(session.agentSessionId, now)
      if (touched.size > 10_000) for (const oldest of touched.keys()) if (touched.delete(oldest)) break
      touchesUnderWay += 1
      void noteUse(session, seen)
        .catch((error: unknown) =>
          log.warn({ err: error, agentSessionId: session.agentSessionId }, 'use was not noted'),
        )
        .finally(() => (touchesUnderWay -= 1))
    },
  }
}

/**
 * Ends every live session of a person or an agent in this tenant, inside the caller's transaction: when a member is
 * removed, when a password changes. The caller records why.
 *
 * @returns how many ended
 */
export async function endAgentSessions(
  tx: AppTx,
  filter: { readonly tenantId: TenantId; readonly personId?: PersonId; readonly agentId?: AgentId },
  reason: string,
  now: Date,
): Promise<number> {
  const { count } = await tx.agentSession.updateMany({
    where: {
      tenantId: filter.tenantId,
      endedAt: null,
      ...(filter.personId === undefined ? {} : { personId: filter.personId }),
      ...(filter.agentId === undefined ? {} : { agentId: filter.agentId }),
    },
    data: { endedAt: now, endedReason: reason },
  })
  return count
}

/** A foreign agent and a person who is no member are missing. */
async function sessionsOf(
  tx: AppTx,
  principal: MemberPrincipal,
  of: { readonly agentId: string } | { readonly personId: string },
): Promise<{ readonly agentId: AgentId } | { readonly personId: PersonId }> {
  if ('agentId' in of) {
    const agentId = agentIdOf(of.agentId)
    await loadAgent(tx, principal, agentId)
    return { agentId }
  }
  const { personId } = of
  if (!isId('person', personId)) throw notFound()
  const { tenantId } = principal
  const membership = await tx.membership.findUnique({ where: { tenantId_personId: { tenantId, personId } } })
  if (membership === null) throw notFound()
  return { personId }
}

interface LiveRow {
  readonly agent_id: string
  readonly person_id: string | null
  readonly acts_for: 'person' | 'workspace'
  readonly scopes: string[]
  readonly expires_at: Date
}

function view(row: {
  id: string
  agentId: string
  kind: string
  label: string
  secretHint: string
  personId: string | null
  actsFor: string
  scopes: string[]
  createdAt: Date
  expiresAt: Date
  lastUsedAt: Date | null
  endedAt: Date | null
  endedReason: string | null
  clientName: string | null
  clientHost: string | null
  lastClient: string | null
  lastNetwork: string | null
}): AgentSessionView {
  return {
    id: brand<'agentSession'>(row.id),
    agentId: brand<'agent'>(row.agentId),
    kind: row.kind === 'oauth' ? 'oauth' : 'key',
    label: row.label,
    hint: row.secretHint,
    personId: row.personId === null ? null : brand<'person'>(row.personId),
    actsFor: row.actsFor === 'workspace' ? 'workspace' : 'person',
    scopes: row.scopes,
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
    lastUsedAt: row.lastUsedAt,
    endedAt: row.endedAt,
    endedReason: row.endedReason,
    clientName: row.clientName,
    clientHost: row.clientHost,
    lastClient: row.lastClient,
    lastNetwork: row.lastNetwork,
  }
}

function cleanLabel(value: string): string {
  const label = value.trim()
  if (label.length > 80 || CONTROL.test(label))
    throw new AppError('request.invalid', 'label: must be at most 80 characters on one line', { field: 'label' })
  return label
}

function lifetime(seconds: number | undefined): number {
  const value = seconds ?? DEFAULT_SESSION_SECONDS
  if (!Number.isSafeInteger(value) || value < MIN_SESSION_SECONDS || value > MAX_SESSION_SECONDS)
    throw new AppError(
      'request.invalid',
      `expiresInSeconds: must be between ${MIN_SESSION_SECONDS} and ${MAX_SESSION_SECONDS}`,
      { field: 'expiresInSeconds' },
    )
  return value
}
