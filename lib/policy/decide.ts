/**
 * The access decision, the only one: what a list shows, what a call may do and, later, what an approval releases are the
 * same question. Pure: no clock, no database, no log.
 *
 * Default deny. A permit needs the profile *and* the session: neither can widen the other.
 *
 * @module
 */
import type { CompiledProfile } from './compile'

/** What a session of ours may be used for (RFC 6749 §3.3). `mcp:write` does not include `mcp:read`. */
export const SESSION_SCOPES = ['mcp:read', 'mcp:write'] as const
export type SessionScope = (typeof SESSION_SCOPES)[number]

export interface AccessRequest {
  readonly tool: string
  /** True when the tool changes nothing at the provider. */
  readonly readOnly: boolean
  readonly sessionScopes: readonly string[]
}

export type DenyReason = 'not_in_profile' | 'session_scope'
export type Decision =
  | { readonly effect: 'permit' }
  | { readonly effect: 'deny'; readonly reason: 'not_in_profile' }
  | { readonly effect: 'deny'; readonly reason: 'session_scope'; readonly needed: SessionScope }

export function decide(request: AccessRequest, profile: CompiledProfile): Decision {
  if (!profile.allowed.has(request.tool)) return { effect: 'deny', reason: 'not_in_profile' }
  const needed: SessionScope = request.readOnly ? 'mcp:read' : 'mcp:write'
  if (!request.sessionScopes.includes(needed)) return { effect: 'deny', reason: 'session_scope', needed }
  return { effect: 'permit' }
}
