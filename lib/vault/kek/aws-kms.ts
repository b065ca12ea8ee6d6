/**
 * Keys in AWS KMS. The tenants' wrapped keys are KMS ciphertexts; where they belong is the encryption context, which KMS
 * authenticates and writes into CloudTrail, so it holds ids alone.
 *
 * Keys are named by their full ARN. An alias could be pointed elsewhere without anybody's noticing here, and a bare id
 * says neither region nor account. `Decrypt` is always told which key to use, and only keys of the configured list are
 * used: bytes that a stranger wrapped under a key of theirs do not open. The SDK finds credentials by its usual chain.
 *
 * Rights needed: kms:Encrypt and kms:Decrypt on each key of the list.
 *
 * @see https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html and API_Decrypt.html
 * @module
 */
import type { KMSClient } from '@aws-sdk/client-kms'

import { kekIdOf, KekError, labelled, notOurs, placed, unlabelled, unplaced, type KekDriver } from './kek'
import { KEK_TIMING, persist, type KekTiming } from './persist'

export interface AwsKmsOptions {
  /** ARNs. The first one wraps; the others open what they wrapped before. */
  readonly keys: readonly string[]
  /** For a VPC endpoint, or a KMS-compatible service. */
  readonly endpoint?: string | undefined
  readonly timing?: KekTiming
  /** Fixed credentials, for tests. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

const KEY_ARN = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[A-Za-z0-9-]{1,64}$/

export const isKmsKeyArn = (id: string): boolean => KEY_ARN.test(id)

/** What says that these bytes and this key do not fit, as opposed to that the key cannot be used now. */
const WRONG = [
  'InvalidCiphertextException',
  'IncorrectKeyException',
  'InvalidKeyUsageException',
  'NotFoundException',
] as const
const UNWELL = [
  'ThrottlingException',
  'Throttling',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'LimitExceededException',
  'KMSInternalException',
  'DependencyTimeoutException',
  'KeyUnavailableException',
] as const

/** Loads the SDK, which is large, only here: most installations never need it. */
export async function createAwsKmsKek(options: AwsKmsOptions): Promise<KekDriver> {
  const sdk = await import('@aws-sdk/client-kms')
  const { keys, endpoint, credentials, timing = KEK_TIMING } = options
  const [active] = keys
  if (active === undefined) throw new KekError('refused', 'No KMS key is configured.')
  const clients = new Map<string, KMSClient>()

  /** One client per region, made when it is first needed. Tries are counted here, not by the SDK. */
  const clientOf = (arn: string): KMSClient => {
    const region = KEY_ARN.exec(arn)?.[1]
    if (region === undefined) throw new KekError('refused', 'A KMS key is not named by its ARN.')
    let client = clients.get(region)
    if (client === undefined) {
      client = new sdk.KMSClient({
        region,
        maxAttempts: 1,
        requestHandler: { connectionTimeout: timing.tryMs, requestTimeout: timing.tryMs },
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(credentials === undefined ? {} : { credentials }),
      })
      clients.set(region, client)
    }
    return client
  }

  const asServiceFault = (error: unknown) =>
    error instanceof sdk.KMSServiceException
      ? { name: error.name, status: error.$metadata.httpStatusCode ?? 0 }
      : undefined

  return {
    owns: isKmsKeyArn,
    activeId: () => Promise.resolve(active),
    ids: () => Promise.resolve(keys),
    isRetired: () => Promise.resolve(false),

    wrap: (plain, aad) =>
      persist(async (signal) => {
        const bound = placed(plain, aad)
        try {
          const { CiphertextBlob, KeyId } = await clientOf(active).send(
            new sdk.EncryptCommand({ KeyId: active, Plaintext: bound, EncryptionContext: contextOf(aad) }),
            { abortSignal: signal },
          )
          if (CiphertextBlob === undefined || KeyId !== active)
            throw new KekError('refused', 'AWS KMS answered for another key than the one it was asked for.')
          return labelled(active, CiphertextBlob)
        } catch (error) {
          throw faultOf(asServiceFault(error), error, 'encrypt')
        } finally {
          bound.fill(0)
        }
      }, timing),

    unwrap: async (wrapped, aad) => {
      const id = kekIdOf(wrapped)
      if (id === undefined || !keys.includes(id))
        throw new KekError('wrong', `This was wrapped under ${id ?? 'no key'}, which is not among KEK_AWS_KEYS.`)
      const blob = unlabelled(id, wrapped)
      return persist(async (signal) => {
        try {
          const { Plaintext, KeyId } = await clientOf(id).send(
            new sdk.DecryptCommand({ KeyId: id, CiphertextBlob: blob, EncryptionContext: contextOf(aad) }),
            { abortSignal: signal },
          )
          if (Plaintext === undefined || KeyId !== id) throw notOurs()
          return unplaced(Buffer.from(Plaintext.buffer, Plaintext.byteOffset, Plaintext.byteLength), aad)
        } catch (error) {
          throw faultOf(asServiceFault(error), error, 'decrypt')
        }
      }, timing)
    },

    rotate: () =>
      Promise.reject(
        new KekError(
          'refused',
          'Make a key in AWS KMS, put its ARN first in KEK_AWS_KEYS (the old one stays behind it), restart, and rotate again.',
        ),
      ),
    retire: (id) =>
      id === active
        ? Promise.reject(new KekError('refused', 'The active key cannot be retired.'))
        : Promise.resolve('left_to_its_service'),
    close: () => {
      for (const client of clients.values()) client.destroy()
      clients.clear()
      return Promise.resolve()
    },
  }
}

const contextOf = (aad: Uint8Array) => ({ portcullis: Buffer.from(aad).toString('utf8') })

/** By the error's name, which is part of the protocol; its words are not. */
function faultOf(
  service: { readonly name: string; readonly status: number } | undefined,
  error: unknown,
  operation: 'encrypt' | 'decrypt',
): KekError {
  if (error instanceof KekError) return error
  // Before any answer: the network, or no credentials. The SDK names the latter.
  if (service === undefined)
    return error instanceof Error && error.name === 'CredentialsProviderError'
      ? new KekError('refused', 'No AWS credentials were found for AWS KMS.', error)
      : new KekError('unavailable', 'AWS KMS does not answer.', error)
  const { name, status } = service
  if (UNWELL.some((one) => one === name) || status >= 500 || status === 429)
    return new KekError('unavailable', `AWS KMS is unwell: ${name}.`, error)
  // A key that is not there cannot encrypt either, but only what it once wrapped is lost with it.
  if (operation === 'decrypt' && WRONG.some((one) => one === name))
    return new KekError('wrong', `AWS KMS does not open this: ${name}.`, error)
  return new KekError('refused', `AWS KMS refuses: ${name}.`, error)
}
