/**
 * Ids and secrets. An id is a branded string `<prefix>_<26 base32 characters>`: 48 bits of milliseconds, so that new
 * rows land at the end of an index, then 80 random bits. A secret is 256 random bits and is stored only as a hash.
 *
 * @module
 */
import { hash, randomBytes, randomFillSync } from 'node:crypto'

const PREFIXES = {
  tenant: 'ten',
  person: 'per',
  webSession: 'ses',
  emailToken: 'emt',
  connection: 'con',
  connectAttempt: 'cat',
  agent: 'agt',
  agentSession: 'ags',
  apiKey: 'key',
  call: 'cal',
  auditRecord: 'aud',
  pseudonym: 'psn',
  attempt: 'att',
  mail: 'mai',
  outbox: 'out',
  revocation: 'rev',
  refreshEvent: 'rfe',
  request: 'req',
  notification: 'ntf',
  oauthClient: 'cli',
  episode: 'eps',
  webhook: 'whk',
  delivery: 'dlv',
  doctorStep: 'dst',
  auditExport: 'aex',
  auditStream: 'ast',
  signInConfig: 'sic',
  signInAttempt: 'sia',
  personIdentity: 'idn',
  invitation: 'inv',
  passkey: 'pky',
} as const

export type IdKind = keyof typeof PREFIXES
export type Id<K extends IdKind> = string & { readonly __id: K }
export type TenantId = Id<'tenant'>
export type PersonId = Id<'person'>
export type ConnectionId = Id<'connection'>
export type AgentId = Id<'agent'>
export type AgentSessionId = Id<'agentSession'>
export type CallId = Id<'call'>

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz' // Crockford base32: no i, l, o, u
const BODY = /^[0-9a-hjkmnp-tv-z]{26}$/

/** A new id of this kind. `now` orders it; 80 random bits make it unguessable enough for a name, never for a credential. */
export function newId<K extends IdKind>(kind: K, now: Date = new Date()): Id<K> {
  // 48 bits of time are ten digits with two bits to spare, 80 random bits are sixteen.
  let time = ''
  for (let left = now.getTime(), i = 0; i < 10; i += 1) {
    time = digit(left % 32) + time
    left = Math.floor(left / 32)
  }
  let random = ''
  for (const byte of randomness(16)) random += digit(byte & 31)
  return brand<K>(`${PREFIXES[kind]}_${time}${random}`)
}

const digit = (value: number): string => ALPHABET[value] ?? '0'

const pool = Buffer.alloc(4_096)
let used = pool.length
/** Names are made many times for each request; asking the system for every few bytes costs more than the rest of it. */
function randomness(length: number): Uint8Array {
  if (used + length > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += length
  return pool.subarray(used - length, used)
}

/** True when `value` has the exact shape of an id of this kind. Says nothing about existence. */
export function isId<K extends IdKind>(kind: K, value: unknown): value is Id<K> {
  const prefix = PREFIXES[kind]
  return typeof value === 'string' && value.startsWith(`${prefix}_`) && BODY.test(value.slice(prefix.length + 1))
}

export const idPattern = (kind: IdKind): RegExp => new RegExp(`^${PREFIXES[kind]}_[0-9a-hjkmnp-tv-z]{26}$`)

/** Trusts that a string read from our own database is an id of this kind. */
export function brand<K extends IdKind>(value: string): Id<K> {
  return value as Id<K> // the one place where a string becomes an id
}

/** 256 random bits, base64url, 43 characters, behind a prefix that secret scanners can find. */
export function newSecret(prefix: string): string {
  return prefix + randomBytes(32).toString('base64url')
}

/** What is stored of a 256-bit secret. A fast hash is right: the input cannot be guessed (RFC 9700 §4.10.2). */
export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}
