/**
 * The cookies of signing in, in one place for gateway and web. All are HttpOnly, SameSite=Lax, for the whole site.
 *
 *   session  the session's secret `pcw_…`, written by next-auth alone
 *   ticket   the same secret for 60 seconds, between the gateway's answer and next-auth's
 *   browser  a random name of this browser; a ticket or a magic link works only where it was asked for
 *
 * `__Host-` and `__Secure-` need https (RFC 6265bis §4.1.3); on loopback over http the plain names are used.
 *
 * @module
 */
import { hashSecret } from '../ids'

export interface SignInCookies {
  readonly secure: boolean
  readonly session: string
  readonly ticket: string
  readonly browser: string
}

export const TICKET_SECONDS = 60
export const BROWSER_SECONDS = 400 * 24 * 3_600 // the most that browsers keep
export const SESSION_ABSOLUTE_SECONDS = 30 * 24 * 3_600

/** Names by the scheme of the public URL. The session's is next-auth's own default. */
export function signInCookies(publicUrl: string): SignInCookies {
  const secure = publicUrl.startsWith('https:')
  return {
    secure,
    session: `${secure ? '__Secure-' : ''}next-auth.session-token`,
    ticket: `${secure ? '__Host-' : ''}portcullis-ticket`,
    browser: `${secure ? '__Host-' : ''}portcullis-browser`,
  }
}

export const SECRET_PREFIX = {
  webSession: 'pcw_',
  browser: 'pcb_',
  apiKey: 'pck_',
  setupLink: 'pcf_',
  magicLink: 'pcm_',
  verifyEmail: 'pcv_',
  resetPassword: 'pcr_',
  signUp: 'pcu_',
  invitation: 'pci_',
} as const

/** True for a prefix and 43 characters of base64url, and nothing else: what `newSecret` makes. */
export function isSecret(prefix: string, value: string | undefined): value is string {
  return value?.startsWith(prefix) === true && /^[A-Za-z0-9_-]{43}$/.test(value.slice(prefix.length))
}

/** The value of one cookie in a `Cookie` header; undefined when absent or sent twice, since then somebody else set one. */
export function findCookie(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(`${name}=`))
    .map((part) => part.slice(name.length + 1))
  return values.length === 1 && values[0] !== '' ? values[0] : undefined
}

/** Hash of the browser's name, or of nothing a browser can send when it has none. */
export function browserHash(browser: string | undefined): Buffer | undefined {
  return isSecret(SECRET_PREFIX.browser, browser) ? hashSecret(browser) : undefined
}
