/**
 * Keys in the transit engine of HashiCorp Vault or OpenBao, over its REST API.
 *
 * A key's name here is `vault-transit:<mount>/<key>/v<version>`. The transit key must be of an AEAD type (aes256-gcm96,
 * the default): where a wrapped key belongs is its `associated_data`. A server too old to know that parameter ignores it
 * silently, so the place is bound by our own bytes as well.
 *
 * Rights needed: update on <mount>/encrypt/<key> and <mount>/decrypt/<key>; for `keys rotate kek` also on
 * <mount>/keys/<key>/rotate. The token is read from its file at every use, so that an agent may renew it; with AppRole it
 * is fetched and renewed here.
 *
 * @see https://developer.hashicorp.com/vault/api-docs/secret/transit
 * @see https://developer.hashicorp.com/vault/api-docs/auth/approle
 * @module
 */
import { readFile } from 'node:fs/promises'

import { z } from 'zod'

import type { OperatorEgress } from '../../egress/operator'
import { AppError } from '../../errors'
import { Secret } from '../../secret'
import { kekIdOf, KekError, labelled, notOurs, placed, unlabelled, unplaced, type KekDriver } from './kek'
import { KEK_TIMING, persist, type KekTiming } from './persist'

export interface VaultTransitOptions {
  /** Origin, and a path before `/v1` where there is one. */
  readonly address: string
  readonly mount: string
  /** Names of transit keys. The first one wraps; the others open what they wrapped before. */
  readonly keys: readonly string[]
  readonly namespace?: string | undefined
  readonly auth:
    { readonly tokenFile: string } | { readonly roleId: string; readonly secretIdFile: string; readonly mount?: string }
  readonly egress: OperatorEgress
  readonly timing?: KekTiming
}

const ID = /^vault-transit:([a-zA-Z0-9/_.-]{1,128})\/([a-zA-Z0-9_.-]{1,64})\/v([1-9][0-9]{0,8})$/
const CIPHERTEXT = /^vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/=]+$/

const encrypted = z.object({ data: z.object({ ciphertext: z.string().regex(CIPHERTEXT) }) })
const decrypted = z.object({ data: z.object({ plaintext: z.base64() }) })
const login = z.object({ auth: z.object({ client_token: z.string().min(1), lease_duration: z.number().int() }) })

const MAX_BYTES = 64 * 1024

export function createVaultTransitKek(options: VaultTransitOptions): KekDriver {
  const { address, mount, keys, namespace, auth, egress, timing = KEK_TIMING } = options
  const [active] = keys
  if (active === undefined) throw new KekError('refused', 'No transit key is configured.')
  const base = `${address.replace(/\/+$/, '')}/v1`
  let session: { readonly token: Secret; readonly until: number } | undefined

  const post = async (path: string, body: unknown, token: Secret | undefined, signal: AbortSignal) => {
    const response = await egress
      .request(`${base}/${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-vault-request': 'true',
          ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
          ...(token === undefined ? {} : { 'x-vault-token': token.reveal() }),
        },
        body: JSON.stringify(body),
        maxBytes: MAX_BYTES,
        timeoutMs: timing.tryMs,
        signal,
      })
      .catch((cause: unknown) => {
        if (cause instanceof AppError) throw new KekError('unavailable', 'The Vault server does not answer.', cause)
        throw cause
      })
    return { status: response.status, body: parseJson(response.body.toString('utf8')) }
  }

  const tokenFor = async (signal: AbortSignal): Promise<Secret> => {
    if ('tokenFile' in auth) return readSecret(auth.tokenFile)
    if (session !== undefined && performance.now() < session.until) return session.token
    const secretId = await readSecret(auth.secretIdFile)
    const credentials = { role_id: auth.roleId, secret_id: secretId.reveal() }
    const answer = await post(`auth/${auth.mount ?? 'approle'}/login`, credentials, undefined, signal)
    const parsed = login.safeParse(answer.body)
    if (answer.status !== 200 || !parsed.success) throw faultOf(answer.status, 'login')
    const { client_token, lease_duration } = parsed.data.auth
    const token = new Secret(client_token)
    // Zero means that it does not expire. A new one well before the end of the old one.
    const seconds = lease_duration === 0 ? 3_600 : Math.max(1, lease_duration * 0.7)
    session = { token, until: performance.now() + seconds * 1_000 }
    return token
  }

  /** One answered request. A token that is refused may just have been replaced: once more with the one there is now. */
  const call = async (path: string, body: unknown, operation: Operation, signal: AbortSignal): Promise<unknown> => {
    for (let isSecond = false; ; isSecond = true) {
      const answer = await post(path, body, await tokenFor(signal), signal)
      if (answer.status === 200 || answer.status === 204) return answer.body
      if (answer.status === 403 && !isSecond) {
        session = undefined
        continue
      }
      throw faultOf(answer.status, operation)
    }
  }

  const encrypt = (plain: Uint8Array, aad: Uint8Array): Promise<{ id: string; ciphertext: string }> =>
    persist(async (signal) => {
      const bound = placed(plain, aad)
      try {
        const body = { plaintext: bound.toString('base64'), associated_data: Buffer.from(aad).toString('base64') }
        const parsed = encrypted.safeParse(await call(`${mount}/encrypt/${active}`, body, 'encrypt', signal))
        if (!parsed.success) throw new KekError('unavailable', 'The Vault server gave an answer that is not one.')
        const { ciphertext } = parsed.data.data
        return { id: idOf(mount, active, versionOf(ciphertext)), ciphertext }
      } finally {
        bound.fill(0)
      }
    }, timing)

  return {
    owns: (id) => ID.test(id),
    // The newest version is the one that answers; asking for it by name would need another right.
    activeId: async () => (await encrypt(new Uint8Array(1), Buffer.from('"probe"'))).id,
    ids: () => Promise.resolve(keys.map((key) => `vault-transit:${mount}/${key}`)),
    isRetired: () => Promise.resolve(false),

    async wrap(plain, aad) {
      const { id, ciphertext } = await encrypt(plain, aad)
      return labelled(id, Buffer.from(ciphertext))
    },

    async unwrap(wrapped, aad) {
      const id = kekIdOf(wrapped) ?? ''
      const [, ofMount, key = '', version] = ID.exec(id) ?? []
      if (ofMount !== mount || !keys.includes(key))
        throw new KekError('wrong', `This was wrapped under ${id}, which is not among KEK_TRANSIT_KEYS of ${mount}.`)
      const ciphertext = unlabelled(id, wrapped).toString('utf8')
      if (!CIPHERTEXT.test(ciphertext) || versionOf(ciphertext) !== version) throw notOurs()
      return persist(async (signal) => {
        const body = { ciphertext, associated_data: Buffer.from(aad).toString('base64') }
        const parsed = decrypted.safeParse(await call(`${mount}/decrypt/${key}`, body, 'decrypt', signal))
        if (!parsed.success) throw new KekError('unavailable', 'The Vault server gave an answer that is not one.')
        return unplaced(Buffer.from(parsed.data.data.plaintext, 'base64'), aad)
      }, timing)
    },

    async rotate() {
      await persist((signal) => call(`${mount}/keys/${active}/rotate`, {}, 'rotate', signal), timing)
      return this.activeId()
    },
    async retire(id) {
      if (id === (await this.activeId())) throw new KekError('refused', 'The active key cannot be retired.')
      return 'left_to_its_service'
    },
    close: async () => {
      session = undefined
      await egress.close()
    },
  }
}

type Operation = 'login' | 'encrypt' | 'decrypt' | 'rotate'

/**
 * By status alone: 412, 429, 472, 473 and 5xx (503: sealed) pass; 400 and 404 to a decryption mean that these bytes and
 * this key do not fit; everything else is the operator's to set right. (Vault before 1.9 answers 500 to a ciphertext that
 * fails authentication. Then it counts as unwell, which changes nothing either.)
 */
function faultOf(status: number, operation: Operation): KekError {
  if (status >= 500 || [408, 412, 429, 472, 473].includes(status))
    return new KekError('unavailable', `The Vault server is unwell or sealed (${status}).`)
  if (operation === 'decrypt' && (status === 400 || status === 404))
    return new KekError('wrong', `The Vault server does not open this (${status}).`)
  const what = operation === 'login' ? 'the AppRole' : 'to use the transit key'
  return new KekError('refused', `The Vault server refuses ${what} (${status}, ${operation}).`)
}

const idOf = (mount: string, key: string, version: string) => `vault-transit:${mount}/${key}/v${version}`
const versionOf = (ciphertext: string): string => CIPHERTEXT.exec(ciphertext)?.[1] ?? ''

async function readSecret(file: string): Promise<Secret> {
  const text = (
    await readFile(file, 'utf8').catch((cause: unknown) => {
      throw new KekError('refused', `The Vault credential in ${file} cannot be read.`, cause)
    })
  ).trim()
  if (text === '' || /[^\x21-\x7e]/.test(text))
    throw new KekError('refused', `The Vault credential in ${file} is not one.`)
  return new Secret(text)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
