/**
 * What the claims of an issuer are worth: who somebody is there, and whether their address may make them a member.
 *
 * The subject is the person, for ever; the address is a fact about them that others can change. It counts only when the
 * issuer itself says that it was verified, and only within a domain that the workspace has proven. Issuers say it in
 * different ways:
 *
 * | issuer            | what counts as verified                                                                          |
 * | ----------------- | ------------------------------------------------------------------------------------------------ |
 * | any               | `email_verified: true`, the boolean. A text, a number or nothing is no.                          |
 * | Entra ID          | has no such claim, and its `email` can be set to anything: `xms_edov` (the optional claim that the owner of the domain was verified) has to be true. `tid` must be the directory that the issuer names. |
 * | Google            | besides, `hd` must be a domain of the workspace: an account with such an address that the organization does not manage has none. |
 *
 * @see OpenID Connect Core 1.0 §2, §5.1, §5.7
 * @module
 */
import { findEmailAddress, type EmailAddress } from '../identity/email-address'

export type ClaimsProblem =
  | 'subject_missing'
  | 'directory_mismatch'
  | 'email_missing'
  | 'email_unverified'
  | 'email_unverified_entra'
  | 'google_unmanaged'
  | 'domain_foreign'

type Claims = Readonly<Record<string, unknown>>

const ENTRA = /^https:\/\/login\.microsoftonline\.com\/([0-9a-f-]{36})\/v2\.0$/i
const GOOGLE = 'https://accounts.google.com'
const MAX_SUBJECT = 255

/** Who it is there. @returns a problem when nobody in particular */
export function subjectOf(
  claims: Claims,
  issuer: string,
): { readonly subject: string } | { readonly problem: ClaimsProblem } {
  const { sub } = claims
  // ASCII of at most 255 characters (Core §2); anything else could be read as two different people.
  if (typeof sub !== 'string' || sub.length > MAX_SUBJECT || !/^[\u0020-\u007e]+$/.test(sub))
    return { problem: 'subject_missing' }
  const directory = ENTRA.exec(issuer)?.[1]
  if (directory !== undefined && String(claims['tid']).toLowerCase() !== directory.toLowerCase())
    return { problem: 'directory_mismatch' }
  return { subject: sub }
}

/**
 * The address, when the issuer vouches for it and it lies in one of the workspace's own domains.
 *
 * @param domains  those proven now
 */
export function addressOf(
  claims: Claims,
  issuer: string,
  domains: readonly string[],
): { readonly email: EmailAddress } | { readonly problem: ClaimsProblem } {
  const email = typeof claims['email'] === 'string' ? findEmailAddress(claims['email']) : undefined
  if (email === undefined) return { problem: 'email_missing' }
  if (ENTRA.test(issuer)) {
    if (!isTrue(claims['xms_edov']) && claims['email_verified'] !== true) return { problem: 'email_unverified_entra' }
  } else if (claims['email_verified'] !== true) return { problem: 'email_unverified' }
  const domain = domainOf(email)
  if (!domains.includes(domain)) return { problem: 'domain_foreign' }
  if (issuer === GOOGLE && !(typeof claims['hd'] === 'string' && domains.includes(claims['hd'].toLowerCase())))
    return { problem: 'google_unmanaged' }
  return { email }
}

export const domainOf = ({ canonical }: EmailAddress): string => canonical.slice(canonical.lastIndexOf('@') + 1)

/** A name to begin with; the person can change it. */
export function nameOf(claims: Claims): string {
  const name = typeof claims['name'] === 'string' ? claims['name'] : ''
  return Array.from(name.normalize('NFC').replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, ''))
    .slice(0, 80)
    .join('')
    .trim()
}

/** When they proved themself there, never later than now: a session that has lasted there for hours is no fresh proof here. */
export function provenAt(claims: Claims, now: Date): Date {
  const seconds = claims['auth_time']
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0
    ? new Date(Math.min(seconds * 1000, now.getTime()))
    : now
}

/** Entra writes this one as a boolean, a number or a text, by the age of the application. */
const isTrue = (value: unknown): boolean => value === true || value === 1 || value === '1' || value === 'true'
