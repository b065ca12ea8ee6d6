/**
 * A person's authenticator app: gives one code after another, each of a step of its own, because a code counts once.
 *
 * @module
 */
import { Secret, TOTP } from 'otpauth'

export interface AuthenticatorApp {
  /** The steps before and after count too, so three codes can be taken in a row. */
  next(): string
}

/** @param secret  as the page or the API shows it, in base32 */
export function authenticatorApp(secret: string): AuthenticatorApp {
  const totp = new TOTP({ secret: Secret.fromBase32(secret.replaceAll(/\s/g, '')) })
  let last = -Infinity
  return {
    next() {
      last = Math.max(last + 1, Math.floor(Date.now() / 30_000) - 1)
      return totp.generate({ timestamp: last * 30_000 })
    },
  }
}
