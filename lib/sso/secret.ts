/**
 * Keeps the client secret of a workspace's issuer sealed under a tenant key of its own purpose, bound to workspace and
 * configuration: a row moved elsewhere does not open. Its envelope is the vault's.
 *
 * @module
 */
import type { Id, TenantId } from '../ids'
import { Secret } from '../secret'
import { open, seal, type Place } from '../vault/envelope'

/** The tenant's keys for this purpose alone. The caller owns what it is given. */
export interface SignInKeys {
  current(tenantId: TenantId): Promise<{ readonly version: number; readonly key: Buffer }>
  at(tenantId: TenantId, version: number): Promise<Buffer>
}

export interface SealedSecret {
  readonly sealed: Uint8Array<ArrayBuffer>
  readonly keyVersion: number
}

const placeOf = (tenantId: TenantId, configId: Id<'signInConfig'>): Place => ({
  tenantId,
  connectionId: configId,
  field: 'sign_in_client_secret',
  generation: 1,
})
const keyName = (tenantId: TenantId, version: number) => `${tenantId}/sign_in/${version}`

export async function sealClientSecret(
  keys: SignInKeys,
  tenantId: TenantId,
  configId: Id<'signInConfig'>,
  secret: Secret,
): Promise<SealedSecret> {
  const { version, key } = await keys.current(tenantId)
  try {
    const named = { id: keyName(tenantId, version), key }
    const sealed = seal(named, Buffer.from(secret.reveal()), placeOf(tenantId, configId))
    return { sealed: new Uint8Array(sealed), keyVersion: version }
  } finally {
    key.fill(0)
  }
}

/** @throws AppError `vault.unreadable`, `vault.key_unavailable` */
export async function openClientSecret(
  keys: SignInKeys,
  tenantId: TenantId,
  configId: Id<'signInConfig'>,
  { sealed, keyVersion }: SealedSecret,
): Promise<Secret> {
  const key = await keys.at(tenantId, keyVersion)
  try {
    const plain = open({ id: keyName(tenantId, keyVersion), key }, sealed, placeOf(tenantId, configId))
    const secret = new Secret(plain.toString('utf8'))
    plain.fill(0)
    return secret
  } finally {
    key.fill(0)
  }
}
