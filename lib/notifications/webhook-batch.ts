/**
 * Makes one delivery of everything that has happened since the last: a thousand accounts that failed together are one
 * call with their number and the first hundred of them. Events and delivery are joined in one transaction, so each event
 * is told by exactly one delivery.
 *
 * @module
 */
import { z } from 'zod'

import type { AppDb } from '../db/app-db'
import { brand, newId, type Id, type TenantId } from '../ids'
import { DIGEST_SECONDS } from './watch'
import { headlineOf, isTrouble } from './words'

export const MAX_ITEMS = 100
const BATCH = 200

export interface WebhookBatches {
  /** @returns the deliveries that were made */
  makeDue(): Promise<readonly DeliveryRef[]>
}

export interface DeliveryRef {
  readonly tenantId: TenantId
  readonly deliveryId: Id<'delivery'>
}

const item = z.object({
  connectionId: z.string(),
  provider: z.string(),
  account: z.string(),
  state: z.string().refine(isTrouble),
  reason: z.string().nullable(),
  since: z.string(),
})

export function createWebhookBatches(deps: {
  readonly appDb: AppDb
  readonly publicUrl: string
  readonly digestSeconds?: number
}): WebhookBatches {
  const { appDb, publicUrl, digestSeconds = DIGEST_SECONDS } = deps

  const make = (tenantId: TenantId, webhookId: string) =>
    appDb.tenant(tenantId, async (tx): Promise<Id<'delivery'> | undefined> => {
      const deliveryId = newId('delivery')
      // Whoever comes second waits here and finds nothing left. A webhook that was stopped is told nothing any more.
      await tx.$executeRaw`
        DELETE FROM webhook_event e USING webhook w
         WHERE w.tenant_id = e.tenant_id AND w.id = e.webhook_id AND w.disabled_at IS NOT NULL
           AND e.tenant_id = ${tenantId} AND e.webhook_id = ${webhookId} AND e.delivery_id IS NULL`
      const taken = await tx.$queryRaw<{ item: unknown; now: Date }[]>`
        UPDATE webhook_event SET delivery_id = ${deliveryId}
         WHERE tenant_id = ${tenantId} AND webhook_id = ${webhookId} AND delivery_id IS NULL RETURNING item, now() AS now`
      const [first] = taken
      if (first === undefined) return undefined
      const items = taken.flatMap((row) => {
        const parsed = item.safeParse(row.item)
        return parsed.success ? [parsed.data] : []
      })
      // Worst first: what is cut off is what can wait.
      const rank = ({ state, connectionId }: (typeof items)[number]) =>
        `${state === 'degraded' ? 1 : 0} ${connectionId}`
      items.sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
      const connections = items.slice(0, MAX_ITEMS).map((one) => {
        const { connectionId, provider, account, state, reason, since } = one
        const summary = headlineOf(state, provider, account)
        const url = `${publicUrl}/connections/${connectionId}`
        return { id: connectionId, provider, account, state, reason, since, summary, url }
      })
      const body = JSON.stringify({
        type: 'connections.need_attention',
        timestamp: first.now.toISOString(),
        data: {
          workspaceId: tenantId,
          total: taken.length,
          isTruncated: taken.length > connections.length,
          connections,
        },
      })
      await tx.webhookDelivery.create({
        data: {
          tenantId,
          id: deliveryId,
          webhookId,
          type: 'connections.need_attention',
          body,
          itemCount: taken.length,
        },
      })
      return deliveryId
    })

  return {
    async makeDue() {
      const due = await appDb.global.$queryRaw<{ tenant_id: string; webhook_id: string }[]>`
        SELECT tenant_id, webhook_id FROM due_webhook_batches(${digestSeconds}::int, ${BATCH}::int)`
      const made: DeliveryRef[] = []
      for (const { tenant_id, webhook_id } of due) {
        const tenantId = brand<'tenant'>(tenant_id)
        const deliveryId = await make(tenantId, webhook_id)
        if (deliveryId !== undefined) made.push({ tenantId, deliveryId })
      }
      return made
    },
  }
}
