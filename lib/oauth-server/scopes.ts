/**
 * What a client may ask for. Few and hierarchical: `mcp:admin` includes `mcp:write`, which includes `mcp:read`. A scope
 * only narrows what the agent's profile allows, never widens it. `mcp:admin` is reserved and never granted to an agent.
 *
 * @see RFC 6749 §3.3
 * @module
 */
import { coversScope, SESSION_SCOPES, type SessionScope } from '../policy/decide'

/** For a refresh token. Nobody has to ask for it: a client that registered the grant gets one. */
export const OFFLINE = 'offline_access'

/** Everything that is advertised. Some clients ask for all of it, so it is short. */
export const SUPPORTED_SCOPES: readonly string[] = [...SESSION_SCOPES, OFFLINE]

/**
 * What a request asks for that there is. Unknown scopes are dropped; nothing asked, everything that is usual.
 *
 * @returns undefined when only scopes were asked for that are never granted
 */
export function grantableScopes(requested: string | undefined): readonly SessionScope[] | undefined {
  const asked = (requested ?? '').split(' ').filter((scope) => scope !== '')
  const known = withImplied(asked)
  if (known.length > 0) return known
  return asked.every((scope) => scope === OFFLINE) ? SESSION_SCOPES : undefined
}

/** Of these scopes those that are granted at all, with all that they include, in one order. */
function withImplied(scopes: readonly string[]): readonly SessionScope[] {
  const known = scopes.filter((scope) => SESSION_SCOPES.some((one) => one === scope))
  return SESSION_SCOPES.filter((scope) => coversScope(known, scope))
}
