/**
 * Codes of an authenticator app: six digits of thirty seconds. The shared secret is sealed by whoever holds the keys and is
 * shown once, when it is made; it counts once a code of it was given.
 *
 * A code is spent by moving the row's last step forward: of twenty that bring one code, one gets in, and no code of that
 * step or of a step before it is ever taken again.
 *
 * @see RFC 6238 §5.2; OWASP ASVS 5.0 §6.5.1
 * @module
 */
import { Secret as OtpSecret, TOTP } from 'otpauth'
import { encode } from 'uqr'

import type { Clock } from '../clock'
import type { AppDb, AppTx } from '../db/app-db'
import { AppError } from '../errors'
import type { PersonId } from '../ids'
import { Secret } from '../secret'

export interface SealedTotp {
  readonly sealed: Uint8Array<ArrayBuffer>
  readonly keyVersion: number
}

/** Seals under a key of its own purpose, bound to person and generation. Only a process with keys has one. */
export interface TotpSeal {
  seal(personId: PersonId, generation: number, secret: Uint8Array): Promise<SealedTotp>
  /** The caller owns the result and should zero it. */
  open(personId: PersonId, generation: number, sealed: SealedTotp): Promise<Buffer>
}

/** What the person's app takes in. */
export interface NewTotp {
  /** Base32, for typing. */
  readonly secret: Secret
  /** `otpauth://totp/…` */
  readonly uri: Secret
  /** Rows of the QR code of `uri`, each a text of 0 and 1. */
  readonly qr: Secret<readonly string[]>
}

/** A code that is right for one step. It is taken when that step is spent. */
export interface TotpMatch {
  readonly generation: number
  readonly step: number
}

const PERIOD_SECONDS = 30
/** One step before and after: clocks differ, and people type. */
const WINDOW = 1
const SECRET_BYTES = 20
const SHAPE = { algorithm: 'SHA1', digits: 6, period: PERIOD_SECONDS } as const // what every app takes

export interface Totps {
  /** Makes a secret that does not count yet. One that counts stays until this one is confirmed; one that does not is replaced. */
  begin(personId: PersonId, label: string): Promise<NewTotp>
  /** @param which  the one that waits for its first code, or the one that counts */
  match(personId: PersonId, code: string, which: 'waiting' | 'confirmed'): Promise<TotpMatch | undefined>
  /** @returns false when it was spent before, or another secret is there by now */
  spend(tx: Pick<AppTx, '$executeRaw'>, personId: PersonId, match: TotpMatch): Promise<boolean>
  /** As `spend`, and the secret counts from now on. */
  confirm(tx: Pick<AppTx, '$executeRaw'>, personId: PersonId, match: TotpMatch): Promise<boolean>
}

export function createTotps(deps: {
  readonly appDb: AppDb
  readonly seal: TotpSeal
  readonly clock: Clock
  /** What the app shows beside the address. */
  readonly issuer: string
}): Totps {
  const { appDb, seal, clock, issuer } = deps

  return {
    async begin(personId, label) {
      const known = await appDb.global.$queryRaw<{ generation: number; confirmed_at: Date | null }[]>`
        SELECT generation, confirmed_at FROM person_totp WHERE person_id = ${personId}`
      if (known[0] !== undefined && known[0].confirmed_at !== null)
        throw new AppError('resource.conflict', 'There is an authenticator app already. Remove it first.')
      const before = known[0]?.generation ?? 0
      const generation = before + 1
      const secret = new OtpSecret({ size: SECRET_BYTES })
      const { sealed, keyVersion } = await seal.seal(personId, generation, secret.bytes)
      const made = await appDb.global.$executeRaw`
        INSERT INTO person_totp (person_id, sealed, key_version, generation) VALUES (${personId}, ${sealed}, ${keyVersion}, ${generation})
        ON CONFLICT (person_id) DO UPDATE SET sealed = EXCLUDED.sealed, key_version = EXCLUDED.key_version,
            generation = EXCLUDED.generation, created_at = now(), last_step = 0
         WHERE person_totp.confirmed_at IS NULL AND person_totp.generation = ${before}`
      if (made !== 1) throw new AppError('resource.conflict', 'Another app is being added at this moment. Begin again.')
      const uri = new TOTP({ ...SHAPE, issuer, label, secret }).toString()
      const { data } = encode(uri, { ecc: 'M', border: 2 })
      return {
        secret: new Secret(secret.base32),
        uri: new Secret(uri),
        qr: new Secret(data.map((row) => row.map((isDark) => (isDark ? '1' : '0')).join(''))),
      }
    },

    async match(personId, code, which) {
      const token = code.replace(/[\s-]/g, '')
      const rows = await appDb.global.$queryRaw<
        { sealed: Uint8Array<ArrayBuffer>; key_version: number; generation: number }[]
      >`
        SELECT sealed, key_version, generation FROM person_totp
         WHERE person_id = ${personId} AND (confirmed_at IS NOT NULL) = ${which === 'confirmed'}`
      const row = rows[0]
      if (row === undefined || !/^[0-9]{6}$/.test(token)) return undefined
      const bytes = await seal.open(personId, row.generation, { sealed: row.sealed, keyVersion: row.key_version })
      try {
        const secret = new OtpSecret({ buffer: Uint8Array.from(bytes).buffer })
        const timestamp = clock.now().getTime()
        const delta = TOTP.validate({ token, secret, ...SHAPE, timestamp, window: WINDOW })
        secret.bytes.fill(0)
        if (delta === null) return undefined
        return { generation: row.generation, step: Math.floor(timestamp / 1_000 / PERIOD_SECONDS) + delta }
      } finally {
        bytes.fill(0)
      }
    },

    async spend(tx, personId, { generation, step }) {
      const spent = await tx.$executeRaw`
        UPDATE person_totp SET last_step = ${step}
         WHERE person_id = ${personId} AND generation = ${generation} AND confirmed_at IS NOT NULL AND last_step < ${step}`
      return spent === 1
    },

    async confirm(tx, personId, { generation, step }) {
      const spent = await tx.$executeRaw`
        UPDATE person_totp SET last_step = ${step}, confirmed_at = now()
         WHERE person_id = ${personId} AND generation = ${generation} AND confirmed_at IS NULL AND last_step < ${step}`
      return spent === 1
    },
  }
}
