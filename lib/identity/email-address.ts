/**
 * One spelling per mailbox: what is shown and mailed to, and the canonical form that is unique. Case, Unicode forms and
 * international domain spellings cannot make two people of one address.
 *
 * @see RFC 5321 §4.1.2, RFC 5890
 * @module
 */
import { domainToASCII } from 'node:url'

import { AppError } from '../errors'

export interface EmailAddress {
  /** As typed, trimmed; safe in a mail header. */
  readonly address: string
  /** Lower case, ASCII domain. The key of a person. */
  readonly canonical: string
}

// The dot-atom of RFC 5322 §3.2.3: no quotes, no brackets, no spaces, nothing a header could be split with.
const LOCAL = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/i
const DOMAIN = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const MAX_LENGTH = 254
const MAX_LOCAL_LENGTH = 64

/** @returns undefined when this is no address we can send mail to */
export function findEmailAddress(input: string): EmailAddress | undefined {
  const typed = input.normalize('NFKC').trim()
  const at = typed.lastIndexOf('@')
  const local = typed.slice(0, at)
  if (at < 1 || typed.length > MAX_LENGTH || local.length > MAX_LOCAL_LENGTH || !LOCAL.test(local)) return undefined
  const domain = domainToASCII(typed.slice(at + 1)).toLowerCase()
  if (!DOMAIN.test(domain) || local.length + 1 + domain.length > MAX_LENGTH) return undefined
  return { address: `${local}@${domain}`, canonical: `${local.toLowerCase()}@${domain}` }
}

/** @throws AppError `request.invalid` naming `field` */
export function parseEmailAddress(input: string, field = 'email'): EmailAddress {
  const found = findEmailAddress(input)
  if (found === undefined) throw new AppError('request.invalid', 'This is not an e-mail address.', { field })
  return found
}
