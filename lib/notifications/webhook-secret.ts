/**
 * Keeps the signing secret of a webhook sealed under a tenant key of its own purpose, bound to tenant and webhook: a row
 * moved to another webhook or workspace does not open. Its envelope is the vault's.
 *
 * @module
 */
import type { Id, TenantId } from '../ids'
import { Secret } from '../secret'
import { open, seal, type Place } from '../vault/envelope'

/** The tenant's keys for this purpose alone. The caller owns what it is given. */
export interface WebhookKeys {
  current(tenantId: TenantId): Promise<{ readonly version: number; readonly key: Buffer }>
  at(tenantId: TenantId, version: number): Promise<Buffer>
}

export interface SealedSecret {
  readonly sealed: Uint8Array<ArrayBuffer>
  readonly keyVersion: number
}

const placeOf = (tenantId: TenantId, webhookId: Id<'webhook'>): Place => ({
  tenantId,
  connectionId: webhookId,
  field: 'webhook_secret',
  generation: 1,
})
const keyName = (tenantId: TenantId, version: number) => `${tenantId}/webhook/${version}`

export async function sealSigningSecret(
  keys: WebhookKeys,
  tenantId: TenantId,
  webhookId: Id<'webhook'>,
  secret: Secret,
): Promise<SealedSecret> {
  const { version, key } = await keys.current(tenantId)
  try {
    const sealed = seal(
      { id: keyName(tenantId, version), key },
      Buffer.from(secret.reveal()),
      placeOf(tenantId, webhookId),
    )
    return { sealed: new Uint8Array(sealed), keyVersion: version }
  } finally {
    key.fill(0)
  }
}

/** @throws AppError `vault.unreadable`, `vault.key_unavailable` */
export async function openSigningSecret(
  keys: WebhookKeys,
  tenantId: TenantId,
  webhookId: Id<'webhook'>,
  { sealed, keyVersion }: SealedSecret,
): Promise<Secret> {
  const key = await keys.at(tenantId, keyVersion)
  try {
    const plain = open({ id: keyName(tenantId, keyVersion), key }, sealed, placeOf(tenantId, webhookId))
    const secret = new Secret(plain.toString('utf8'))
    plain.fill(0)
    return secret
  } finally {
    key.fill(0)
  }
}
