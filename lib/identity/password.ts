/**
 * Passwords at rest: argon2id, its parameters inside the stored hash, at most a few computed at a time. Checking the
 * password of nobody costs exactly what checking a real one does.
 *
 * @see RFC 9106 §4; OWASP ASVS 5.0 §11.4.2
 * @module
 */
import * as argon2 from '@node-rs/argon2'

import { createSemaphore } from './semaphore'

/** 32 MiB and three passes: above OWASP's floor (19 MiB, 2), about 60 ms of one core. */
export const PASSWORD_PARAMETERS = { memoryCost: 32_768, timeCost: 3, parallelism: 1, outputLen: 32 } as const
// argon2id is the library's default; its enum is ambient and const, which isolated modules cannot name.
const ARGON2ID = 2

export interface PasswordCheck {
  readonly matches: boolean
  /** The stored hash has other parameters than today's: hash again while the password is at hand. */
  readonly isOutdated: boolean
}

export interface Passwords {
  /** @throws AppError `request.rate_limited` when too many wait already */
  hash(password: string): Promise<string>
  /**
   * @param stored  undefined when there is no such account or it has no password: the same work is done, and nothing matches
   * @throws AppError `request.rate_limited` when too many wait already
   */
  verify(stored: string | undefined, password: string): Promise<PasswordCheck>
}

export interface PasswordOptions {
  readonly concurrency?: number
  readonly queue?: number
  /** Told before each computation; what metrics and tests count. */
  readonly onCompute?: (operation: 'hash' | 'verify') => void
}

// Hash of 32 random bytes that nobody kept, with today's parameters; a test holds the two together.
export const DUMMY_HASH =
  '$argon2id$v=19$m=32768,t=3,p=1$g5kAb/OHA0OEcUB1ee1F+g$5rCwg8rHaNuc7/ROLuEcgrTZsRo2+PEzNUKwEuGYIUQ'

export function createPasswords(options: PasswordOptions = {}): Passwords {
  // Two cores' worth at a time: 64 MiB at most, and the event loop's thread pool keeps threads for files and DNS.
  const semaphore = createSemaphore({ concurrency: options.concurrency ?? 2, queue: options.queue ?? 32 })
  const prepared = (password: string) => password.normalize('NFC')
  return {
    hash: (password) =>
      semaphore.run(() => {
        options.onCompute?.('hash')
        return argon2.hash(prepared(password), PASSWORD_PARAMETERS)
      }),
    verify: (stored, password) =>
      semaphore.run(async () => {
        options.onCompute?.('verify')
        const matches = await argon2.verify(stored ?? DUMMY_HASH, prepared(password))
        return stored === undefined
          ? { matches: false, isOutdated: false }
          : { matches, isOutdated: isOutdated(stored) }
      }),
  }
}

function isOutdated(stored: string): boolean {
  const used = argon2.parseOptions(stored)
  return (
    (used.algorithm as number) !== ARGON2ID || // an enum that cannot be named here
    used.memoryCost !== PASSWORD_PARAMETERS.memoryCost ||
    used.timeCost !== PASSWORD_PARAMETERS.timeCost ||
    used.parallelism !== PASSWORD_PARAMETERS.parallelism ||
    used.outputLen !== PASSWORD_PARAMETERS.outputLen
  )
}
