/**
 * The tenants' keys as webhooks may have them: their own purpose and nothing else.
 *
 * @module
 */
import type { WebhookKeys } from '@/lib/notifications/webhook-secret'
import type { TenantKeys } from '@/lib/vault/tenant-keys'

export function webhookKeys(keys: TenantKeys): WebhookKeys {
  return {
    current: (tenantId) => keys.current(tenantId, 'webhook'),
    at: (tenantId, version) => keys.at(tenantId, 'webhook', version),
  }
}
