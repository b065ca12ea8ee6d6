/**
 * Ten codes for the day a phone is lost. Eighty random bits each, shown once, stored as hashes, and each good once: of
 * twenty that bring one, one gets in.
 *
 * @see OWASP ASVS 5.0 §6.5.1–6.5.2
 * @module
 */
import { createHash, randomBytes } from 'node:crypto'

import type { AppDb, AppTx } from '../db/app-db'
import type { PersonId } from '../ids'
import { Secret } from '../secret'

export const RECOVERY_CODES = 10
const CHARACTERS = 16
const CODE = /^[0-9a-hjkmnp-tv-z]{16}$/
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz' // Crockford base32: nothing to mistake when it is read from paper

/** Takes the codes before out of use. @returns the new ones, for the person and nobody else */
export async function replaceRecoveryCodes(
  tx: Pick<AppTx, '$executeRaw'>,
  personId: PersonId,
): Promise<Secret<readonly string[]>> {
  const codes = Array.from({ length: RECOVERY_CODES }, newCode)
  await tx.$executeRaw`DELETE FROM person_recovery_code WHERE person_id = ${personId}`
  for (const code of codes)
    await tx.$executeRaw`
      INSERT INTO person_recovery_code (person_id, code_hash) VALUES (${personId}, ${hashOf(personId, code)})`
  return new Secret(codes.map((code) => (code.match(/.{4}/g) ?? []).join('-')))
}

/** @returns false when it is none of the person's codes, or was used */
export async function spendRecoveryCode(
  tx: Pick<AppTx, '$executeRaw'>,
  personId: PersonId,
  typed: string,
): Promise<boolean> {
  const code = parseCode(typed)
  if (code === undefined) return false
  const spent = await tx.$executeRaw`
    UPDATE person_recovery_code SET used_at = now()
     WHERE person_id = ${personId} AND code_hash = ${hashOf(personId, code)} AND used_at IS NULL`
  return spent === 1
}

export async function recoveryCodesLeft(
  global: Pick<AppDb['global'], '$queryRaw'>,
  personId: PersonId,
): Promise<number> {
  const rows = await global.$queryRaw<{ left: bigint }[]>`
    SELECT count(*) AS left FROM person_recovery_code WHERE person_id = ${personId} AND used_at IS NULL`
  return Number(rows[0]?.left ?? 0)
}

/** As people type it: any case, with or without dashes, o for 0, i or l for 1. */
function parseCode(typed: string): string | undefined {
  const code = typed.toLowerCase().replace(/[\s-]/g, '').replace(/o/g, '0').replace(/[il]/g, '1')
  return CODE.test(code) ? code : undefined
}

const newCode = (): string => [...randomBytes(CHARACTERS)].map((byte) => ALPHABET[byte & 31] ?? '').join('')

/** A fast hash is right: eighty random bits cannot be guessed. The person is in it, so that rows of two people never match. */
const hashOf = (personId: PersonId, code: string) =>
  createHash('sha256').update(`recovery-code\0${personId}\0${code}`, 'utf8').digest()
