/**
 * From a request to a principal: a person by session cookie, or a program by API key. Session and key are read from their
 * rows every time; the person's role is at most a second and a half old.
 *
 * A request with a bearer token is the token's, whatever cookies come along: the two never stand in for each other.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import type { AppDb } from '../db/app-db'
import { AppError } from '../errors'
import type { TenantId } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import type { ApiKeyPrincipal, PersonPrincipal, Role } from '../tenancy/principal'
import { parseRole } from '../tenancy/role'
import type { ApiKeys } from './api-keys'
import { findCookie, type SignInCookies } from './cookies'
import { entriesOf, openTenantsOf, recordWayBack } from './entry'
import type { WebSession, WebSessions } from './sessions'

export interface Presented {
  readonly cookie: string | undefined
  readonly authorization: string | undefined
  /** Canonical client network. */
  readonly network: string
  /** The client's address, as far as proxies are to be believed. */
  readonly address: string
}

export interface Authenticator {
  /**
   * @returns undefined when nobody, or nobody who is somebody now, is asking
   * @throws AppError `auth.forbidden` when the person is a member of no workspace
   */
  member(request: Presented): Promise<PersonPrincipal | ApiKeyPrincipal | undefined>
  /** The web session of the cookie, with or without a workspace. */
  session(request: Pick<Presented, 'cookie'>): Promise<WebSession | undefined>
  /** Makes this session's later requests act in another workspace of the person. @returns false when it is not theirs */
  chooseTenant(session: WebSession, tenantId: string, network: string): Promise<boolean>
}

const ROLE_MAX_AGE_MS = 1_500
const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i

export function createAuthenticator(deps: {
  readonly appDb: AppDb
  readonly sessions: WebSessions
  readonly apiKeys: ApiKeys
  readonly cookies: SignInCookies
  readonly events: RecordsEvents
}): Authenticator {
  const { appDb, sessions, apiKeys, cookies, events } = deps
  const roles = new LRUCache<string, Role>({ max: 10_000, ttl: ROLE_MAX_AGE_MS, ttlResolution: 0 })

  /** What the person is in a workspace, as long as this very session may enter it. */
  async function roleOf({ personId, sessionId }: WebSession, tenantId: TenantId): Promise<Role | undefined> {
    const key = `${sessionId} ${tenantId}`
    const known = roles.get(key)
    if (known !== undefined) return known
    const role = await appDb.tenant(tenantId, async (tx) => {
      if (!(await openTenantsOf(tx, sessionId)).includes(tenantId)) return undefined
      const rows = await tx.$queryRaw<{ role: string }[]>`
        SELECT m.role FROM membership m JOIN tenant t ON t.id = m.tenant_id AND t.disabled_at IS NULL
         WHERE m.tenant_id = ${tenantId} AND m.person_id = ${personId}`
      return rows[0] === undefined ? undefined : parseRole(rows[0].role)
    })
    if (role !== undefined) roles.set(key, role)
    return role
  }

  const session: Authenticator['session'] = ({ cookie }) => sessions.lookup(findCookie(cookie, cookies.session))

  return {
    session,

    async member(request) {
      if (request.authorization !== undefined) {
        const bearer = BEARER.exec(request.authorization)?.[1]
        const key = bearer === undefined ? undefined : await apiKeys.lookup(bearer, request.address)
        return key === undefined ? undefined : { kind: 'api_key', ...key, network: request.network }
      }
      const found = await session(request)
      if (found === undefined) return undefined
      const { personId } = found
      let tenantId = found.tenantId
      let role = tenantId === null ? undefined : await roleOf(found, tenantId)
      if (tenantId === null || role === undefined) {
        // No workspace chosen, or none that may still be entered: the one they have belonged to longest.
        const entries = await entriesOf(appDb.global, found.sessionId)
        tenantId = entries.find(({ entry }) => entry === 'open')?.tenantId ?? null
        role = tenantId === null ? undefined : await roleOf(found, tenantId)
        if (tenantId === null && entries.some(({ entry }) => entry === 'sso_required'))
          throw new AppError('auth.forbidden', 'Your workspace asks you to come in by single sign-on.')
      }
      if (tenantId === null || role === undefined)
        throw new AppError('auth.forbidden', 'You are a member of no workspace. Ask somebody to add you to theirs.')
      return {
        kind: 'person',
        tenantId,
        personId,
        role,
        webSessionId: found.sessionId,
        authenticatedAt: found.authenticatedAt,
        ...(found.onlyTenantId == null ? {} : { onlyTenantId: found.onlyTenantId }),
        network: request.network,
      }
    },

    async chooseTenant(current, tenantId, network) {
      const chosen = (await openTenantsOf(appDb.global, current.sessionId)).find((id) => id === tenantId)
      if (chosen === undefined) return false
      const { personId, sessionId: webSessionId } = current
      return appDb.tenant(chosen, async (tx) => {
        const changed = await tx.$executeRaw`
          UPDATE web_session SET tenant_id = ${chosen} WHERE id = ${webSessionId} AND status = 'active'`
        if (changed !== 1) return false
        await events.event(tx, {
          tenantId: chosen,
          action: 'workspace.entered',
          actor: { kind: 'person', personId, webSessionId },
          targetId: chosen,
          network,
        })
        await recordWayBack(tx, events, { sessionId: webSessionId, personId, network }, chosen)
        return true
      })
    },
  }
}
