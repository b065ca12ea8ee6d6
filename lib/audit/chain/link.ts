/**
 * What one link of a chain is made of, so that it can be computed again by anybody who has the records.
 *
 *     hash = SHA-256(canonical JSON of {"v":1,"position":n,"previous":"<hex>","record":{…}})
 *
 * `record` is the row of `audit_record` as PostgreSQL's `to_jsonb` writes it in UTC, without members that are null and with
 * `sealed` replaced by the SHA-256 of the ciphertext in hex. So the ciphertext is covered, and free fields that were erased
 * leave a record that still fits. The time of linking is no part of it: the same records in the same order make the same chain.
 *
 * @see RFC 8785 for the canonical form
 * @module
 */
import { createHash } from 'node:crypto'

import { canonicalJson } from '../canonical'

/** What the first link of a chain continues. */
export const GENESIS = Buffer.alloc(32)

/**
 * A record may be committed so much later than its own time says: no transaction of ours lasts longer. One that claims to
 * be older than its neighbours by more was not written when it says.
 */
export const LATENESS_MS = 60_000

/** A record as the statements below read it. */
export interface StoredRecord {
  readonly record_id: string
  /** `to_jsonb` of the row without `sealed`, as text. */
  readonly body: string
  /** SHA-256 of the ciphertext in hex, of what it was when it was erased. */
  readonly sealed_digest: string | null
}

/** The columns of a `StoredRecord`, of `audit_record r` and `audit_erasure e`. */
export const RECORD_COLUMNS = `r.id AS record_id, (to_jsonb(r) - 'sealed')::text AS body,
  encode(COALESCE(sha256(r.sealed), e.digest), 'hex') AS sealed_digest`

/** Joins what is left of erased fields. */
export const JOIN_ERASURE = 'LEFT JOIN audit_erasure e ON e.tenant_id = r.tenant_id AND e.record_id = r.id'

export function hashOf(position: number, previous: Uint8Array, record: StoredRecord): Buffer {
  const text = canonicalJson({
    v: 1,
    position,
    previous: Buffer.from(previous).toString('hex'),
    record: contentOf(record),
  })
  return createHash('sha256').update(text, 'utf8').digest()
}

function contentOf({ body, sealed_digest }: StoredRecord): Record<string, unknown> {
  const stored = JSON.parse(body) as Record<string, unknown> // a row as JSON is an object
  const content: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(stored)) if (value !== null) content[name] = value
  if (sealed_digest !== null) content['sealed'] = sealed_digest
  return content
}
