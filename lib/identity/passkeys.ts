/**
 * Passkeys: a key pair in somebody's device, which the person unlocks by finger, face or PIN. One proves possession and the
 * person together, so it is a whole sign-in by itself and a second factor after a password.
 *
 * What is asked for and what is expected comes from the public URL alone. A challenge is signed once: the row that holds
 * its hash is deleted before anything is verified, and only where and what for it was made.
 *
 * @see WebAuthn Level 3 §7.1, §7.2, §13.4.3
 * @module
 */
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'

import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
  type AuthenticationResponseJSON,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
} from '@simplewebauthn/server'

import type { AppDb, AppTx } from '../db/app-db'
import { AppError } from '../errors'
import { brand, newId, type Id, type PersonId } from '../ids'

export type PasskeyPurpose = 'register' | 'sign_in' | 'second_factor' | 'step_up'

export interface Passkey {
  readonly id: Id<'passkey'>
  readonly name: string
  readonly isSynced: boolean
  readonly createdAt: Date
  readonly lastUsedAt: Date | null
}

/** A signature that was right. It is taken when the counter is moved on. */
export interface PasskeyMatch {
  readonly personId: PersonId
  readonly passkeyId: Id<'passkey'>
  readonly counter: number
  readonly isSynced: boolean
}

/** A new passkey that proved itself and is not stored yet. */
export interface NewPasskey {
  readonly credentialId: Buffer
  readonly publicKey: Buffer
  readonly counter: number
  readonly transports: readonly string[]
  readonly isSynced: boolean
}

export interface Passkeys {
  /** @param boundTo  hash of the browser, or the session's id: the answer is taken from there alone */
  askToRegister(
    person: { readonly personId: PersonId; readonly email: string; readonly name: string },
    boundTo: PasskeyBinding,
  ): Promise<PublicKeyCredentialCreationOptionsJSON>
  /** @param personId  absent: whoever they are, as the device says */
  askToSign(
    purpose: Exclude<PasskeyPurpose, 'register'>,
    boundTo: PasskeyBinding,
    personId?: PersonId,
  ): Promise<PublicKeyCredentialRequestOptionsJSON>
  /** @throws AppError `request.invalid` for anything that is not right */
  registered(personId: PersonId, boundTo: PasskeyBinding, response: unknown): Promise<NewPasskey>
  /** @returns undefined for anything that is not right; the work done is the same for a passkey that nobody has */
  signed(
    purpose: Exclude<PasskeyPurpose, 'register'>,
    boundTo: PasskeyBinding,
    response: unknown,
    personId?: PersonId,
  ): Promise<PasskeyMatch | undefined>
  /** @returns false when a later signature was taken meanwhile, or it is gone */
  spend(tx: Pick<AppTx, '$executeRaw'>, match: PasskeyMatch): Promise<boolean>
  add(
    tx: Pick<AppTx, '$executeRaw' | '$queryRaw'>,
    personId: PersonId,
    name: string,
    made: NewPasskey,
  ): Promise<Passkey>
  list(personId: PersonId): Promise<readonly Passkey[]>
}

export type PasskeyBinding = Buffer | Id<'webSession'>

const TIMEOUT_MS = 120_000
const CHALLENGE_SECONDS = 180
export const MAX_PASSKEYS = 20
/** EdDSA, ES256, RS256: what devices have. */
const ALGORITHMS = [-8, -7, -257]

export function createPasskeys(deps: {
  readonly appDb: AppDb
  readonly publicUrl: string
  /** Told before each verification of a signature; what tests count. */
  readonly onVerify?: () => void
}): Passkeys {
  const { appDb, publicUrl } = deps
  const { hostname: rpID, origin } = new URL(publicUrl)
  const nobody = keyOfNobody()

  async function newChallenge(purpose: PasskeyPurpose, boundTo: PasskeyBinding): Promise<Buffer<ArrayBuffer>> {
    const challenge = randomBytes(32)
    await appDb.global.$executeRaw`
      WITH gone AS (
        DELETE FROM passkey_challenge WHERE challenge_hash IN (
          SELECT challenge_hash FROM passkey_challenge WHERE expires_at < now() LIMIT 20 FOR UPDATE SKIP LOCKED))
      INSERT INTO passkey_challenge (challenge_hash, purpose, bound_to, expires_at)
      VALUES (${sha256(challenge)}, ${purpose}, ${bindingOf(boundTo)}, now() + make_interval(secs => ${CHALLENGE_SECONDS}::int))`
    return challenge
  }

  /** @returns the challenge of this answer when it was ours, for this, from here, and for the first time */
  async function spendChallenge(
    purpose: PasskeyPurpose,
    boundTo: PasskeyBinding,
    response: { readonly response: { readonly clientDataJSON: string } },
  ): Promise<string | undefined> {
    const challenge = challengeOf(response.response.clientDataJSON)
    if (challenge === undefined) return undefined
    const spent = await appDb.global.$executeRaw`
      DELETE FROM passkey_challenge
       WHERE challenge_hash = ${sha256(Buffer.from(challenge, 'base64url'))} AND purpose = ${purpose}
         AND bound_to = ${bindingOf(boundTo)} AND expires_at > now()`
    return spent === 1 ? challenge : undefined
  }

  async function listed(personId: PersonId) {
    return appDb.global.$queryRaw<
      {
        id: string
        credential_id: Uint8Array
        transports: string[]
        name: string
        is_synced: boolean
        created_at: Date
        last_used_at: Date | null
      }[]
    >`
      SELECT id, credential_id, transports, name, is_synced, created_at, last_used_at FROM person_passkey
       WHERE person_id = ${personId} ORDER BY created_at, id`
  }
  const descriptors = async (personId: PersonId) =>
    (await listed(personId)).map((row) => ({
      id: Buffer.from(row.credential_id).toString('base64url'),
      transports: row.transports,
    }))

  return {
    async askToRegister({ personId, email, name }, boundTo) {
      return generateRegistrationOptions({
        rpName: 'Portcullis',
        rpID,
        userName: email,
        userDisplayName: name,
        userID: new TextEncoder().encode(personId),
        challenge: new Uint8Array(await newChallenge('register', boundTo)),
        timeout: TIMEOUT_MS,
        attestationType: 'none',
        excludeCredentials: await descriptors(personId),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        supportedAlgorithmIDs: ALGORITHMS,
      })
    },

    async askToSign(purpose, boundTo, personId) {
      return generateAuthenticationOptions({
        rpID,
        challenge: new Uint8Array(await newChallenge(purpose, boundTo)),
        timeout: TIMEOUT_MS,
        userVerification: 'required',
        // Nobody is named: the device knows who has a key here, and the answer is the same for everybody.
        ...(personId === undefined ? {} : { allowCredentials: await descriptors(personId) }),
      })
    },

    async registered(personId, boundTo, raw) {
      const refused = () => new AppError('request.invalid', 'This passkey could not be added. Try again.')
      const response = raw as RegistrationResponseJSON // shaped by the caller's schema, and proven below
      const expectedChallenge = await spendChallenge('register', boundTo, response)
      if (expectedChallenge === undefined) throw refused()
      const checked = await verifyRegistrationResponse({
        response,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: rpID,
        requireUserVerification: true,
        supportedAlgorithmIDs: ALGORITHMS,
      }).catch(() => undefined)
      if (checked?.verified !== true) throw refused()
      const { credential, credentialDeviceType } = checked.registrationInfo
      return {
        credentialId: Buffer.from(credential.id, 'base64url'),
        publicKey: Buffer.from(credential.publicKey),
        counter: credential.counter,
        transports: (credential.transports ?? []).slice(0, 10).map((one) => one.slice(0, 32)),
        isSynced: credentialDeviceType === 'multiDevice',
      }
    },

    async signed(purpose, boundTo, raw, personId) {
      const response = raw as AuthenticationResponseJSON // shaped by the caller's schema, and proven below
      const expectedChallenge = await spendChallenge(purpose, boundTo, response)
      if (expectedChallenge === undefined) return undefined
      const rows = await appDb.global.$queryRaw<
        { id: string; person_id: string; public_key: Uint8Array<ArrayBuffer>; counter: bigint; is_disabled: boolean }[]
      >`
        SELECT k.id, k.person_id, k.public_key, k.counter, p.disabled_at IS NOT NULL AS is_disabled
          FROM person_passkey k JOIN person p ON p.id = k.person_id
         WHERE k.credential_id = ${Buffer.from(response.id, 'base64url')}`
      const row = rows[0]
      deps.onVerify?.()
      const checked = await verifyAuthenticationResponse({
        response,
        expectedChallenge,
        expectedOrigin: origin,
        expectedRPID: rpID,
        requireUserVerification: true,
        credential: {
          id: response.id,
          publicKey: row === undefined ? nobody : new Uint8Array(row.public_key),
          counter: row === undefined ? 0 : Number(row.counter),
        },
      }).catch(() => undefined)
      if (checked?.verified !== true || row === undefined || row.is_disabled) return undefined
      if (personId !== undefined && row.person_id !== personId) return undefined
      const { userHandle } = response.response
      if (userHandle !== undefined && Buffer.from(userHandle, 'base64url').toString('utf8') !== row.person_id)
        return undefined
      return {
        personId: brand(row.person_id),
        passkeyId: brand(row.id),
        counter: checked.authenticationInfo.newCounter,
        isSynced: checked.authenticationInfo.credentialDeviceType === 'multiDevice',
      }
    },

    async spend(tx, { passkeyId, personId, counter, isSynced }) {
      // Zero: the device keeps no counter (§6.1.1). Else it only ever grows, so of two copies of a key one is found out.
      const spent = await tx.$executeRaw`
        UPDATE person_passkey SET counter = ${counter}, last_used_at = now(), is_synced = ${isSynced}
         WHERE id = ${passkeyId} AND person_id = ${personId} AND (counter < ${counter} OR (counter = 0 AND ${counter} = 0))`
      return spent === 1
    },

    async add(tx, personId, name, made) {
      const id = newId('passkey')
      const known = await tx.$queryRaw<{ id: string }[]>`
        SELECT id FROM person_passkey WHERE person_id = ${personId} FOR UPDATE`
      if (known.length >= MAX_PASSKEYS)
        throw new AppError('resource.limit_exceeded', `There are ${MAX_PASSKEYS} passkeys already. Remove one first.`)
      const added = await tx.$executeRaw`
        INSERT INTO person_passkey (id, person_id, credential_id, public_key, counter, transports, name, is_synced)
        VALUES (${id}, ${personId}, ${made.credentialId}, ${made.publicKey}, ${made.counter}, ${[...made.transports]},
                ${name}, ${made.isSynced})
        ON CONFLICT (credential_id) DO NOTHING`
      if (added !== 1) throw new AppError('resource.conflict', 'This passkey is in use already.')
      return { id, name, isSynced: made.isSynced, createdAt: new Date(), lastUsedAt: null }
    },

    async list(personId) {
      return (await listed(personId)).map((row) => ({
        id: brand(row.id),
        name: row.name,
        isSynced: row.is_synced,
        createdAt: row.created_at,
        lastUsedAt: row.last_used_at,
      }))
    },
  }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const bindingOf = (boundTo: PasskeyBinding): Buffer =>
  sha256(
    typeof boundTo === 'string'
      ? Buffer.from(`session\0${boundTo}`)
      : Buffer.concat([Buffer.from('browser\0'), boundTo]),
  )

/** The challenge that an answer says it signed. A claim, until the row is found and the signature is right. */
function challengeOf(clientDataJSON: string): string | undefined {
  try {
    const data: unknown = JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString('utf8'))
    const challenge = typeof data === 'object' && data !== null && 'challenge' in data ? data.challenge : undefined
    return typeof challenge === 'string' && /^[A-Za-z0-9_-]{43}$/.test(challenge) ? challenge : undefined
  } catch {
    return undefined
  }
}

/** A public key that nobody has the other half of, so that a passkey we do not know costs the same verification. */
function keyOfNobody(): Uint8Array<ArrayBuffer> {
  const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const part = (value: string | undefined) => Buffer.from(value ?? '', 'base64url')
  // COSE_Key: {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9052 §7, RFC 9053 §7.1.1)
  return new Uint8Array(
    Buffer.concat([
      Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]),
      part(x),
      Buffer.from([0x22, 0x58, 0x20]),
      part(y),
    ]),
  )
}
