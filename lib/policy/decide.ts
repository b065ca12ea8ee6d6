/**
 * The access decision, the only one: what a list shows, what a call may do and, later, what an approval releases are the
 * same question. Pure: no clock, no database, no log.
 *
 * Default deny. A permit needs the profile *and* the session: neither can widen the other. What the profile does not name
 * is refused for that alone, so that nobody learns from the other refusal which tools there are. Then every rule that
 * applies to the call must hold; the first that does not is named.
 *
 * @module
 */
import type { CompiledProfile } from './compile'
import type { CallFacts, CompiledRule } from './compile-rule'
import { RESOURCES } from './resources'

/** What a session of ours may be used for (RFC 6749 §3.3). */
export const SESSION_SCOPES = ['mcp:read', 'mcp:write'] as const
export type SessionScope = (typeof SESSION_SCOPES)[number]

/** Each includes those before it. `mcp:admin` is reserved: no session of an agent is ever given it. */
const HIERARCHY: readonly string[] = [...SESSION_SCOPES, 'mcp:admin']

/** True when one of the scopes is the needed one or includes it. A scope nobody knows includes nothing. */
export function coversScope(held: readonly string[], needed: SessionScope): boolean {
  return held.some((scope) => HIERARCHY.indexOf(scope) >= HIERARCHY.indexOf(needed))
}

/** Everything that comes with this scope, it included: what a session would have to be given for it. */
export function scopesUpTo(scope: SessionScope): readonly SessionScope[] {
  return SESSION_SCOPES.slice(0, SESSION_SCOPES.indexOf(scope) + 1)
}

export interface AccessRequest {
  readonly tool: string
  /** True when the tool changes nothing at the provider. */
  readonly readOnly: boolean
  readonly sessionScopes: readonly string[]
  /** Absent where only the tool is asked about: whether it is listed does not depend on arguments. */
  readonly call?: CallFacts
}

export type Decision =
  | { readonly effect: 'permit' }
  | { readonly effect: 'deny'; readonly reason: 'not_in_profile' }
  | { readonly effect: 'deny'; readonly reason: 'session_scope'; readonly needed: SessionScope }
  | { readonly effect: 'deny'; readonly reason: 'rule'; readonly rule: Pick<CompiledRule, 'id' | 'words'> }

export function decide(request: AccessRequest, profile: CompiledProfile): Decision {
  if (!profile.allowed.has(request.tool)) return { effect: 'deny', reason: 'not_in_profile' }
  const needed: SessionScope = request.readOnly ? 'mcp:read' : 'mcp:write'
  if (!coversScope(request.sessionScopes, needed)) return { effect: 'deny', reason: 'session_scope', needed }
  const { call } = request
  if (call === undefined) return { effect: 'permit' }
  const broken = findBroken(profile.rulesOfTool.get(request.tool), call) ?? findBrokenResource(profile, call)
  return broken === undefined ? { effect: 'permit' } : { effect: 'deny', reason: 'rule', rule: broken }
}

const findBroken = (rules: readonly CompiledRule[] | undefined, call: CallFacts) =>
  rules?.find((rule) => !rule.holds(call))

function findBrokenResource(profile: CompiledProfile, call: CallFacts): CompiledRule | undefined {
  if (profile.rulesOfResource.size === 0) return undefined
  for (const resource of RESOURCES) {
    if (call.resources[resource] === undefined) continue
    const broken = findBroken(profile.rulesOfResource.get(resource), call)
    if (broken !== undefined) return broken
  }
  return undefined
}
