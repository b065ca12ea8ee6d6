/**
 * A credential's sealed columns: a data key (DEK) of its own, wrapped by the tenant's vault key, seals the tokens.
 *
 * Every generation gets a new DEK. The wrapped DEK is bound to provider, provider app and account as well, so that an
 * edited row cannot send a token to another provider's endpoint.
 *
 * @module
 */
import { createHash, randomBytes } from 'node:crypto'

import type { TenantId } from '../ids'
import { KEY_BYTES, open, seal, type NamedKey, type Place } from './envelope'
import type { TenantKeys } from './tenant-keys'

/** What a credential is of. All of it is bound to the sealed values. */
export interface CredentialPlace {
  readonly tenantId: TenantId
  readonly connectionId: string
  readonly provider: string
  readonly providerApp: string
  readonly subject: string
  readonly generation: number
}

export interface SealedColumns {
  readonly keyVersion: number
  readonly dekWrapped: Uint8Array<ArrayBuffer>
  readonly sealed: readonly Uint8Array<ArrayBuffer>[]
}

/** Seals values under a new DEK, in the order given. */
export async function sealFields(
  keys: TenantKeys,
  place: CredentialPlace,
  fields: readonly { readonly field: string; readonly value: string }[],
): Promise<SealedColumns> {
  const { version, key } = await keys.current(place.tenantId, 'vault')
  const dek = randomBytes(KEY_BYTES)
  try {
    return {
      keyVersion: version,
      dekWrapped: seal(tenantKeyNamed(version, key), dek, dekPlace(place)),
      sealed: fields.map(({ field, value }) => {
        const plain = Buffer.from(value)
        try {
          return seal(dekNamed(dek), plain, fieldPlace(place, field))
        } finally {
          plain.fill(0)
        }
      }),
    }
  } finally {
    key.fill(0)
    dek.fill(0)
  }
}

/**
 * @returns the plaintext; the caller owns it and should zero it
 * @throws AppError `vault.unreadable` for any altered byte or place, `vault.key_unavailable` when the tenant's key is gone
 */
export async function openField(
  keys: TenantKeys,
  place: CredentialPlace,
  columns: { readonly keyVersion: number; readonly dekWrapped: Uint8Array; readonly sealed: Uint8Array },
  field: string,
): Promise<Buffer> {
  const key = await keys.at(place.tenantId, 'vault', columns.keyVersion)
  let dek: Buffer | undefined
  try {
    dek = open(tenantKeyNamed(columns.keyVersion, key), columns.dekWrapped, dekPlace(place))
    return open(dekNamed(dek), columns.sealed, fieldPlace(place, field))
  } finally {
    key.fill(0)
    dek?.fill(0)
  }
}

/**
 * The same data key, wrapped under the tenant's newest key. Undefined when it is already.
 *
 * @throws AppError as `openField`
 */
export async function rewrapDek(
  keys: TenantKeys,
  place: CredentialPlace,
  columns: { readonly keyVersion: number; readonly dekWrapped: Uint8Array },
): Promise<Pick<SealedColumns, 'keyVersion' | 'dekWrapped'> | undefined> {
  const { version, key } = await keys.current(place.tenantId, 'vault')
  let old: Buffer | undefined
  let dek: Buffer | undefined
  try {
    if (version === columns.keyVersion) return undefined
    old = await keys.at(place.tenantId, 'vault', columns.keyVersion)
    dek = open(tenantKeyNamed(columns.keyVersion, old), columns.dekWrapped, dekPlace(place))
    return { keyVersion: version, dekWrapped: seal(tenantKeyNamed(version, key), dek, dekPlace(place)) }
  } finally {
    key.fill(0)
    old?.fill(0)
    dek?.fill(0)
  }
}

/** The same values in the same place under a new data key. A field that is not there stays away. */
export async function resealFields(
  keys: TenantKeys,
  place: CredentialPlace,
  columns: { readonly keyVersion: number; readonly dekWrapped: Uint8Array },
  fields: readonly { readonly field: string; readonly sealed: Uint8Array | null }[],
): Promise<Pick<SealedColumns, 'keyVersion' | 'dekWrapped'> & { sealed: (Uint8Array<ArrayBuffer> | null)[] }> {
  const opened: { field: string; value: string }[] = []
  for (const { field, sealed } of fields) {
    if (sealed === null) continue
    const plain = await openField(keys, place, { ...columns, sealed }, field)
    opened.push({ field, value: plain.toString('utf8') })
    plain.fill(0)
  }
  const made = await sealFields(keys, place, opened)
  const byField = new Map(opened.map(({ field }, index) => [field, made.sealed[index]]))
  return {
    keyVersion: made.keyVersion,
    dekWrapped: made.dekWrapped,
    sealed: fields.map(({ field }) => byField.get(field) ?? null),
  }
}

const tenantKeyNamed = (version: number, key: Uint8Array): NamedKey => ({ id: `vault/${version}`, key })

/** A DEK is named by its own digest, so that its name needs no column. */
function dekNamed(key: Uint8Array): NamedKey {
  const digest = createHash('sha256').update('portcullis dek name').update(key).digest('hex')
  return { id: `dek/${digest.slice(0, 16)}`, key }
}

function dekPlace(place: CredentialPlace): Place {
  return fieldPlace(place, JSON.stringify(['dek', place.provider, place.providerApp, place.subject]))
}

function fieldPlace({ tenantId, connectionId, generation }: CredentialPlace, field: string): Place {
  return { tenantId, connectionId, field, generation }
}
