/**
 * Proofs of who somebody is, once it is known who they say they are: password, code, recovery code, passkey. Checked slowly
 * outside of any transaction, then taken in the transaction of what they are for, at which moment each works once.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { AppError } from '../errors'
import type { Id, PersonId } from '../ids'
import type { Attempt, Attempter, SignInLimits } from './limits'
import type { Passkeys } from './passkeys'
import type { Passwords } from './password'
import { recoveryCodesLeft, spendRecoveryCode } from './recovery-codes'
import type { Totps } from './totp'

export type Proof =
  | { readonly kind: 'password'; readonly password: string }
  | { readonly kind: 'code'; readonly code: string }
  | { readonly kind: 'recovery_code'; readonly code: string }
  /** What the browser answered. */
  | { readonly kind: 'passkey'; readonly response: unknown }

export type FactorMethod = 'passkey' | 'code' | 'recovery_code'

/** What a person can prove themself with. */
export interface Factors {
  readonly hasPassword: boolean
  readonly hasTotp: boolean
  readonly passkeys: number
  readonly recoveryCodes: number
}

export const hasSecondFactor = (factors: Factors): boolean => factors.hasTotp || factors.passkeys > 0

/** The second factors of a person, best first; empty when there is none. Recovery codes stand in for one, and are none alone. */
export function factorMethods(factors: Factors): FactorMethod[] {
  if (!hasSecondFactor(factors)) return []
  return [
    ...(factors.passkeys > 0 ? (['passkey'] as const) : []),
    ...(factors.hasTotp ? (['code'] as const) : []),
    ...(factors.recoveryCodes > 0 ? (['recovery_code'] as const) : []),
  ]
}

export interface Proving {
  readonly personId: PersonId
  readonly purpose: 'second_factor' | 'step_up'
  /** The session that the proof is for; a passkey's challenge is bound to it. */
  readonly sessionId: Id<'webSession'>
  readonly network: string
  readonly isKnown: () => Promise<boolean>
  readonly device?: Attempter['device']
}

export interface Proofs {
  factorsOf(personId: PersonId): Promise<Factors>
  /**
   * @returns takes the proof; to be called once, inside the transaction of what it is for
   * @throws AppError `request.invalid` when it is wrong, `request.rate_limited`
   */
  check(proof: Proof, proving: Proving): Promise<(tx: AppTx) => Promise<void>>
}

export function createProofs(deps: {
  readonly appDb: AppDb
  readonly passwords: Passwords
  readonly totps: Pick<Totps, 'match' | 'spend'>
  readonly passkeys: Pick<Passkeys, 'signed' | 'spend'>
  readonly limits: SignInLimits
}): Proofs {
  const { appDb, passwords, totps, passkeys, limits } = deps

  return {
    async factorsOf(personId) {
      const rows = await appDb.global.$queryRaw<{ has_password: boolean; has_totp: boolean; passkeys: bigint }[]>`
        SELECT EXISTS (SELECT 1 FROM person_password WHERE person_id = ${personId}) AS has_password,
               EXISTS (SELECT 1 FROM person_totp WHERE person_id = ${personId} AND confirmed_at IS NOT NULL) AS has_totp,
               (SELECT count(*) FROM person_passkey WHERE person_id = ${personId}) AS passkeys`
      return {
        hasPassword: rows[0]?.has_password === true,
        hasTotp: rows[0]?.has_totp === true,
        passkeys: Number(rows[0]?.passkeys ?? 0),
        recoveryCodes: await recoveryCodesLeft(appDb.global, personId),
      }
    },

    async check(proof, { personId, purpose, sessionId, network, isKnown, device }) {
      // One budget for guessing one password, wherever it is asked for, and one for codes of every kind.
      const attempt: Attempt = proof.kind === 'password' ? 'password' : 'code'
      const who = { account: `proof:${personId}`, network, isKnown, ...(device === undefined ? {} : { device }) }
      await limits.count(attempt, who)
      const forgive = () => limits.forgive(attempt, who)

      switch (proof.kind) {
        case 'password': {
          const stored = await appDb.global.personPassword.findUnique({ where: { personId } })
          const check = await passwords.verify(stored?.hash, proof.password)
          if (stored === null || !check.matches) throw wrongPassword()
          await forgive()
          return async (tx) => {
            // Held until the proof is in: a password changed meanwhile ends this session or refuses this proof.
            const held = await tx.$queryRaw<{ held: number }[]>`
              SELECT 1 AS held FROM person_password WHERE person_id = ${personId} AND hash = ${stored.hash} FOR SHARE`
            if (held.length !== 1) throw wrongPassword()
          }
        }
        case 'code': {
          const match = await totps.match(personId, proof.code, 'confirmed')
          if (match === undefined) throw wrongCode()
          return async (tx) => {
            if (!(await totps.spend(tx, personId, match))) throw wrongCode()
            await forgive()
          }
        }
        case 'recovery_code':
          return async (tx) => {
            if (!(await spendRecoveryCode(tx, personId, proof.code))) throw wrongCode()
            await forgive()
          }
        case 'passkey': {
          const match = await passkeys.signed(purpose, sessionId, proof.response, personId)
          if (match === undefined) throw wrongPasskey()
          return async (tx) => {
            if (!(await passkeys.spend(tx, match))) throw wrongPasskey()
            await forgive()
          }
        }
      }
    },
  }
}

const wrongPassword = () => new AppError('request.invalid', 'This is not your password.', { field: 'password' })
/** The same for a wrong, a used and an old code. */
export const wrongCode = () =>
  new AppError('request.invalid', 'This code is not right, or was used before.', { field: 'code' })
const wrongPasskey = () => new AppError('request.invalid', 'This passkey was not accepted. Try again.')
