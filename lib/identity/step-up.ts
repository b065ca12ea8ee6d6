/**
 * Step-up: what widens access is done only by a person who proved themself a moment ago. A stolen cookie, or a browser left
 * open, is not enough to connect an account, make a key, give a role or take an export.
 *
 * API keys and the operator's command line are no people at a browser; their scopes and their machine bound them instead.
 *
 * @see OWASP ASVS 5.0 §7.5.1
 * @module
 */
import { systemClock } from '../clock'
import { AppError } from '../errors'
import type { PersonPrincipal, Principal } from '../tenancy/principal'

export const RECENT_SECONDS = 300

/**
 * Passes a person who proved themself within the last five minutes, and everybody who is no person.
 *
 * @throws AppError `auth.step_up_required`: the page asks for a proof at `/signin/step-up`, then repeats the request
 */
export function requireRecent(
  principal: Pick<PersonPrincipal, 'kind' | 'authenticatedAt'> | Exclude<Principal, PersonPrincipal>,
  now: Date = systemClock.now(),
): void {
  if (principal.kind !== 'person') return
  if (now.getTime() - principal.authenticatedAt.getTime() < RECENT_SECONDS * 1_000) return
  throw new AppError('auth.step_up_required', 'Confirm that it is you, then this goes on.')
}
