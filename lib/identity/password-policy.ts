/**
 * Which new passwords are taken: long enough, not absurdly long, and none that a guesser tries first. Nothing about
 * digits or signs, which make passwords harder to remember and no harder to guess.
 *
 * @see NIST SP 800-63B §5.1.1.2; OWASP ASVS 5.0 §6.2
 * @module
 */
import { AppError } from '../errors'
import { COMMON_PASSWORDS } from './common-passwords'

export const MIN_PASSWORD_LENGTH = 10
export const MAX_PASSWORD_LENGTH = 256

/** What a password must not simply repeat. */
export interface PasswordContext {
  readonly email?: string
  readonly name?: string
  readonly workspaceName?: string
}

/** @throws AppError `request.invalid` naming the field, with a reason a person can act on */
export function checkNewPassword(password: string, context: PasswordContext, field = 'password'): void {
  const refuse = (reason: string) => new AppError('request.invalid', reason, { field })
  const length = Array.from(password.normalize('NFC')).length
  if (length < MIN_PASSWORD_LENGTH) throw refuse(`Use at least ${MIN_PASSWORD_LENGTH} characters.`)
  if (length > MAX_PASSWORD_LENGTH) throw refuse(`Use at most ${MAX_PASSWORD_LENGTH} characters.`)
  const plain = fold(password)
  if (COMMON_PASSWORDS.has(password.normalize('NFKC').toLowerCase()) || COMMON_PASSWORDS.has(plain))
    throw refuse('This password is one of the first that anybody would guess. Choose another.')
  const own = [context.email, context.email?.split('@')[0], context.name, context.workspaceName]
  if (own.some((value) => value !== undefined && repeats(plain, fold(value))))
    throw refuse('Choose a password that is not your e-mail address, your name or the name of the workspace.')
}

/** Lower case without spaces and signs, so that `Ada Lovelace!` and `adalovelace` are the same guess. */
const fold = (value: string) =>
  value
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, '')

/** The password is this word, once or several times over, with digits at most around it. */
function repeats(password: string, word: string): boolean {
  if (word === '') return false
  const rest = password.replaceAll(word, '')
  return rest !== password && /^\p{N}{0,4}$/u.test(rest)
}
