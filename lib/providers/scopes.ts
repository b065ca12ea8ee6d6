/**
 * Scopes as providers spell them, compared as they mean them. Pure.
 *
 * @module
 */
import type { ScopeRules } from './definition'

/** One spelling per scope, sorted, each once. Unknown scopes are kept: a provider may add some at any time. */
export function canonicalScopes(rules: ScopeRules, scopes: string | readonly string[]): string[] {
  const list = typeof scopes === 'string' ? scopes.split(/[\s,]+/) : scopes
  return [...new Set(list.filter((scope) => scope !== '').map((scope) => rules.aliases[scope] ?? scope))].sort()
}

/** True when what was granted allows what `needed` names, by itself or through a wider scope. */
export function coversScope(rules: ScopeRules, granted: readonly string[], needed: string): boolean {
  const wanted = rules.aliases[needed] ?? needed
  const seen = new Set<string>()
  const queue = canonicalScopes(rules, granted)
  for (let scope = queue.pop(); scope !== undefined; scope = queue.pop()) {
    if (scope === wanted) return true
    if (seen.has(scope)) continue
    seen.add(scope)
    queue.push(...(rules.known[scope]?.includes ?? []))
  }
  return false
}

/** What was asked for and not granted. */
export function missingScopes(rules: ScopeRules, granted: readonly string[], requested: readonly string[]): string[] {
  return canonicalScopes(rules, requested).filter(
    (scope) => !rules.notReported.includes(scope) && !coversScope(rules, granted, scope),
  )
}

/** Identity scopes and what the tools need, in the provider's order and each once. */
export function scopesToRequest(rules: ScopeRules, needed: readonly string[] = rules.defaults): string[] {
  return [...new Set([...rules.identity, ...needed])]
}
