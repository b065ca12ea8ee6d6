/**
 * Signatures of outgoing webhooks, as the Standard Webhooks specification has them, so that a receiver can use any of its
 * libraries: HMAC-SHA-256 over `id.timestamp.body`, base64, behind `v1,`. The id stays the same over all tries of one
 * delivery, so that a receiver can tell a second try from a second message; the timestamp is of the try.
 *
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 * @module
 */
import { createHmac, randomBytes } from 'node:crypto'

import { AppError } from '../errors'
import { Secret } from '../secret'

const PREFIX = 'whsec_'
const SECRET_BYTES = 32

/** A new signing secret, as its receiver is shown it once: `whsec_` and 32 random bytes in base64. */
export function newSigningSecret(): Secret {
  return new Secret(PREFIX + randomBytes(SECRET_BYTES).toString('base64'))
}

export interface SignedHeaders {
  readonly 'webhook-id': string
  readonly 'webhook-timestamp': string
  readonly 'webhook-signature': string
}

/** @throws AppError `vault.unreadable` when the secret is not one of ours */
export function signWebhook(secret: Secret, id: string, at: Date, body: string): SignedHeaders {
  const text = secret.reveal()
  const key = text.startsWith(PREFIX) ? Buffer.from(text.slice(PREFIX.length), 'base64') : Buffer.alloc(0)
  if (key.length !== SECRET_BYTES) throw new AppError('vault.unreadable', 'The signing secret could not be read.')
  const timestamp = String(Math.floor(at.getTime() / 1_000))
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`, 'utf8').digest('base64')
  key.fill(0)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}
