/**
 * Calls the address of a webhook, each delivery until it is taken or given up. A delivery is claimed by one conditional
 * UPDATE that also puts it out of reach for longer than a call can take; nothing is held while it is called, and the result
 * is written only by the one who holds the claim. A process that dies leaves a delivery that becomes due again: at least
 * once, with the same id, and never forgotten.
 *
 * The other side is a stranger: the egress client refuses addresses inside, follows no redirect, and bounds time and size;
 * of an answer only the status counts. 410 stops the webhook at once, days of failure stop it too, and its owners hear.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb, AppTx } from '../db/app-db'
import { EgressError, type Egress } from '../egress/egress'
import { AppError } from '../errors'
import { brand, newId, type Id, type TenantId } from '../ids'
import type { Log } from '../log'
import type { RecordsEvents } from '../tenancy/events'
import { membersOf } from './watch'
import type { DeliveryRef } from './webhook-batch'
import { openSigningSecret, type WebhookKeys } from './webhook-secret'
import { signWebhook } from './webhook-signature'
import { plainLabel } from './words'

export const MAX_DELIVERY_ATTEMPTS = 14
export const FAILING_DAYS = 5
const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024
const CLAIM_SECONDS = 60
const FIRST_DELAY_SECONDS = 20
const MAX_DELAY_SECONDS = 6 * 3_600
const LONGEST_WISH_SECONDS = 3_600

export type DeliveryResult =
  | 'delivered'
  /** Due again later. */
  | 'deferred'
  | 'failed'
  /** Done already, not due yet, or in another worker's hands. */
  | 'not_mine'

export interface WebhookSender {
  send(tenantId: TenantId, deliveryId: string): Promise<DeliveryResult>
  /** Deliveries that are due, oldest first: what a lost job leaves behind. */
  due(limit: number): Promise<readonly DeliveryRef[]>
}

export interface WebhookSenderDeps {
  readonly appDb: AppDb
  readonly egress: Pick<Egress, 'request'>
  readonly keys: WebhookKeys
  readonly events: RecordsEvents
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1). */
  readonly random?: () => number
  /** For one call, connecting included. */
  readonly timeoutMs?: number
}

interface Claim {
  readonly webhook_id: string
  readonly body: string
  readonly attempts: number
  readonly url: string
  readonly sealed_secret: Uint8Array<ArrayBuffer>
  readonly key_version: number
  readonly disabled_at: Date | null
}

type Answer =
  | { readonly kind: 'taken'; readonly status: number }
  | { readonly kind: 'refused'; readonly status: number | null; readonly error: string; readonly waitSeconds?: number }
  /** The webhook is to be stopped. */
  | { readonly kind: 'stop'; readonly status: number | null; readonly error: 'gone' | 'secret_unreadable' | 'stopped' }

export function createWebhookSender(deps: WebhookSenderDeps): WebhookSender {
  const { appDb, egress, keys, events, clock, log, random = Math.random, timeoutMs = TIMEOUT_MS } = deps

  const claim = (tenantId: TenantId, deliveryId: string) =>
    appDb.tenant(tenantId, async (tx): Promise<Claim | undefined> => {
      const rows = await tx.$queryRaw<Claim[]>`
        UPDATE webhook_delivery d
           SET attempts = d.attempts + 1, last_attempt_at = now(), next_at = now() + make_interval(secs => ${CLAIM_SECONDS}::int)
          FROM webhook w
         WHERE d.tenant_id = ${tenantId} AND d.id = ${deliveryId} AND d.status = 'queued' AND d.next_at <= now()
           AND w.tenant_id = d.tenant_id AND w.id = d.webhook_id
        RETURNING d.webhook_id, d.body, d.attempts, w.url, w.sealed_secret, w.key_version, w.disabled_at`
      return rows[0]
    })

  const call = async (tenantId: TenantId, deliveryId: string, one: Claim): Promise<Answer> => {
    let headers
    try {
      const secret = await openSigningSecret(keys, tenantId, brand<'webhook'>(one.webhook_id), {
        sealed: one.sealed_secret,
        keyVersion: one.key_version,
      })
      headers = signWebhook(secret, deliveryId, clock.now(), one.body)
    } catch (error) {
      // A key service that is away is no fault of the row; anything else does not get better.
      if (error instanceof AppError && error.code === 'vault.key_unavailable')
        return { kind: 'refused', status: null, error: 'key_unavailable' }
      log.error({ err: error, webhookId: one.webhook_id }, 'the signing secret of a webhook could not be read')
      return { kind: 'stop', status: null, error: 'secret_unreadable' }
    }
    try {
      const { status, headers: answered } = await egress.request(one.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': 'Portcullis-Webhook/1', ...headers },
        body: one.body,
        maxBytes: MAX_ANSWER_BYTES,
        timeoutMs,
      })
      if (status >= 200 && status < 300) return { kind: 'taken', status }
      if (status === 410) return { kind: 'stop', status, error: 'gone' }
      if (status >= 300 && status < 400) return { kind: 'refused', status, error: 'redirect' }
      const wish = Number(answered.get('retry-after') ?? Number.NaN)
      return {
        kind: 'refused',
        status,
        error: 'status',
        ...(wish > 0 ? { waitSeconds: Math.min(wish, LONGEST_WISH_SECONDS) } : {}),
      }
    } catch (error) {
      if (error instanceof EgressError)
        return { kind: 'refused', status: null, error: error.code.replace('egress.', '') }
      throw error
    }
  }

  const settle = (tenantId: TenantId, deliveryId: string, one: Claim, answer: Answer) =>
    appDb.tenant(tenantId, async (tx): Promise<DeliveryResult> => {
      const isGivenUp = answer.kind === 'stop' || (answer.kind === 'refused' && one.attempts >= MAX_DELIVERY_ATTEMPTS)
      const status = answer.kind === 'taken' ? 'delivered' : isGivenUp ? 'failed' : 'queued'
      const wait = Math.max(
        delaySeconds(one.attempts, random),
        answer.kind === 'refused' ? (answer.waitSeconds ?? 0) : 0,
      )
      const isMine = await tx.$executeRaw`
        UPDATE webhook_delivery
           SET status = ${status}, last_status = ${answer.status}::int, last_error = ${answer.kind === 'taken' ? null : answer.error},
               next_at = now() + make_interval(secs => ${wait}::double precision), ended_at = CASE WHEN ${status} = 'queued' THEN NULL ELSE now() END
         WHERE tenant_id = ${tenantId} AND id = ${deliveryId} AND status = 'queued' AND attempts = ${one.attempts}`
      if (isMine === 0) return 'not_mine'
      if (answer.kind === 'taken') {
        await tx.$executeRaw`
          UPDATE webhook SET last_delivered_at = now(), failing_since = NULL WHERE tenant_id = ${tenantId} AND id = ${one.webhook_id}`
        return 'delivered'
      }
      const [failing] = await tx.$queryRaw<{ is_long: boolean }[]>`
        UPDATE webhook SET failing_since = COALESCE(failing_since, now()) WHERE tenant_id = ${tenantId} AND id = ${one.webhook_id}
        RETURNING failing_since < now() - make_interval(days => ${FAILING_DAYS}::int) AS is_long`
      if (answer.kind === 'stop') await stop(tx, tenantId, one, answer.error)
      else if (failing?.is_long === true) await stop(tx, tenantId, one, 'failing')
      return isGivenUp ? 'failed' : 'deferred'
    })

  /** Nothing is sent any more, and those who can repair it hear of it, once. */
  const stop = async (tx: AppTx, tenantId: TenantId, { webhook_id: webhookId, url }: Claim, reason: string) => {
    const stopped = await tx.$executeRaw`
      UPDATE webhook SET disabled_at = now(), disabled_reason = ${reason} WHERE tenant_id = ${tenantId} AND id = ${webhookId} AND disabled_at IS NULL`
    if (stopped === 0) return
    await tx.$executeRaw`
      UPDATE webhook_delivery SET status = 'failed', ended_at = now(), last_error = COALESCE(last_error, 'stopped')
       WHERE tenant_id = ${tenantId} AND webhook_id = ${webhookId} AND status = 'queued'`
    await tx.$executeRaw`DELETE FROM webhook_event WHERE tenant_id = ${tenantId} AND webhook_id = ${webhookId} AND delivery_id IS NULL`
    const label = plainLabel(new URL(url).host)
    const managers = await membersOf(tx, tenantId, 'managers')
    await tx.notification.createMany({
      data: managers.map((personId) => ({
        tenantId,
        id: newId('notification', clock.now()),
        personId,
        kind: 'webhook_disabled',
        label,
        reason,
      })),
    })
    await events.never(tx, {
      tenantId,
      action: 'webhook.disabled',
      actor: { kind: 'system' },
      targetId: webhookId,
      reason,
    })
  }

  return {
    async send(tenantId, deliveryId) {
      const one = await claim(tenantId, deliveryId)
      if (one === undefined) return 'not_mine'
      // Queued in the moment the webhook was stopped.
      if (one.disabled_at !== null) return settle(tenantId, deliveryId, one, STOPPED)
      const answer = await call(tenantId, deliveryId, one)
      const result = await settle(tenantId, deliveryId, one, answer)
      if (result !== 'delivered')
        log.warn(
          { deliveryId, webhookId: one.webhook_id, result, attempts: one.attempts, status: answer.status },
          'a webhook was not delivered',
        )
      return result
    },

    async due(limit) {
      const rows = await appDb.global.$queryRaw<{ tenant_id: string; delivery_id: string }[]>`
        SELECT tenant_id, delivery_id FROM due_webhook_deliveries(${limit}::int)`
      return rows.map((row) => ({
        tenantId: brand<'tenant'>(row.tenant_id),
        deliveryId: brand<'delivery'>(row.delivery_id) satisfies Id<'delivery'>,
      }))
    },
  }
}

const STOPPED: Answer = { kind: 'stop', status: null, error: 'stopped' }

/** 20 s, 40 s … six hours, with half of it random, so that what failed together does not return together. */
function delaySeconds(attempts: number, random: () => number): number {
  return Math.min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempts - 1)) * (0.5 + 0.5 * random())
}
