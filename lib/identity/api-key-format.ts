/**
 * What an API key looks like: `pck_`, 256 random bits, and six characters that are a checksum of what stands before them.
 * A scanner that finds the form can tell a key from noise without asking anybody.
 *
 *   pck_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}     the last six: CRC-32 of the rest, in base 62, zero-padded
 *
 * Keys made before there was a checksum have none, and go on working until they expire.
 *
 * @module
 */
import { crc32 } from 'node:zlib'

import { newSecret } from '../ids'
import { SECRET_PREFIX } from './cookies'

const FORM = /^pck_[A-Za-z0-9_-]{43}([0-9A-Za-z]{6})?$/
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const CHECKSUM_LENGTH = 6 // 62⁶ > 2³²

export function newApiKey(): string {
  const key = newSecret(SECRET_PREFIX.apiKey)
  return key + checksumOf(key)
}

/** True for what could be a key of ours: of the form, and with the right checksum where there is one. */
export function isApiKey(value: string): boolean {
  const match = FORM.exec(value)
  if (match === null) return false
  return match[1] === undefined || match[1] === checksumOf(value.slice(0, -CHECKSUM_LENGTH))
}

export function checksumOf(text: string): string {
  let rest = crc32(text)
  let checksum = ''
  for (let i = 0; i < CHECKSUM_LENGTH; i += 1) {
    checksum = (DIGITS[rest % 62] ?? '0') + checksum
    rest = Math.floor(rest / 62)
  }
  return checksum
}
