/**
 * How Entra ID answers: RFC 6749 with a `suberror` and a list of numbers, of which some say that nothing was decided.
 *
 * @see https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 * @module
 */
import type { TokenDialect } from '../../definition'
import { textAt } from '../../json'

/** Unwell for a moment, or asked too often for the same: says nothing about the grant, whatever word stands beside it. */
const PASSING: readonly unknown[] = [50_196, 90_033, 90_006, 90_024]

/** Our secret or certificate is wrong or has run out. */
const OURS: readonly unknown[] = [7_000_215, 7_000_222, 700_016, 700_027]

export const microsoftDialect: TokenDialect = {
  refusal: (whole) => {
    const code = textAt(whole, 'error')
    if (code === undefined) return undefined
    const numbers = Array.isArray(whole['error_codes']) ? whole['error_codes'] : []
    if (numbers.some((number) => PASSING.includes(number))) return { code: 'temporarily_unavailable' }
    if (numbers.some((number) => OURS.includes(number))) return { code: 'invalid_client' }
    const subtype = textAt(whole, 'suberror')
    return subtype === undefined ? { code } : { code, subtype }
  },
  tokens: (whole) => whole,
  tokenTypes: ['bearer'],
}
