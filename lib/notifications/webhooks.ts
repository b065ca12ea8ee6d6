/**
 * The addresses a workspace wants to be told at: added by owners and admins, tried with a button, removed. The signing
 * secret is in the answer to adding one and nowhere else.
 *
 * Where an address leads is asked when something is sent, by the egress client, each time: what a name resolves to can
 * change after it was accepted.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { brand, newId, type Id, type TenantId } from '../ids'
import type { Secret } from '../secret'
import type { RecordsEvents } from '../tenancy/events'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import { sealSigningSecret, type WebhookKeys } from './webhook-secret'
import { newSigningSecret } from './webhook-signature'

export const MAX_WEBHOOKS = 3
const MAX_URL = 2_048
const DELIVERIES_SHOWN = 20
/** Tries by button within ten minutes: enough to set one up, too few to bother anybody with. */
const MAX_TESTS = 10

export interface Webhook {
  readonly id: Id<'webhook'>
  readonly url: string
  readonly createdAt: Date
  readonly lastDeliveredAt: Date | null
  readonly failingSince: Date | null
  readonly disabledAt: Date | null
  readonly disabledReason: string | null
}

export interface Delivery {
  readonly id: Id<'delivery'>
  readonly type: string
  readonly itemCount: number
  readonly status: 'queued' | 'delivered' | 'failed'
  readonly attempts: number
  readonly createdAt: Date
  readonly lastAttemptAt: Date | null
  readonly nextAt: Date | null
  readonly lastStatus: number | null
  readonly lastError: string | null
}

export interface Webhooks {
  list(principal: MemberPrincipal): Promise<readonly Webhook[]>
  /** @throws AppError `request.invalid` for an address that is never called, `resource.limit_exceeded` */
  create(principal: MemberPrincipal, url: string): Promise<{ readonly webhook: Webhook; readonly secret: Secret }>
  remove(principal: MemberPrincipal, id: string): Promise<void>
  /** Puts a message to try it into the queue. @throws AppError `resource.conflict` when the webhook was stopped */
  test(principal: MemberPrincipal, id: string): Promise<Delivery>
  /** The last ones, newest first. */
  deliveries(principal: MemberPrincipal, id: string): Promise<readonly Delivery[]>
}

export interface WebhooksDeps {
  readonly appDb: AppDb
  readonly events: RecordsEvents
  readonly keys: WebhookKeys
  /** Plain http is taken only for what the operator has opened, as the egress client has it. */
  readonly httpOrigins: readonly string[]
  /** Makes quick what a scan would find. */
  readonly announce: (tenantId: TenantId, deliveryId: Id<'delivery'>) => Promise<unknown>
}

export function createWebhooks({ appDb, events, keys, httpOrigins, announce }: WebhooksDeps): Webhooks {
  return {
    async list(principal) {
      checkPermission(principal, 'webhook.read')
      return appDb.tenant(principal.tenantId, async (tx) => {
        const rows = await tx.webhook.findMany({
          where: { tenantId: principal.tenantId },
          select: SHOWN,
          orderBy: { id: 'asc' },
        })
        return rows.map(toWebhook)
      })
    },

    async create(principal, given) {
      checkPermission(principal, 'webhook.manage')
      const url = parseAddress(given, httpOrigins)
      const { tenantId } = principal
      const id = newId('webhook')
      const secret = newSigningSecret()
      const { sealed, keyVersion } = await sealSigningSecret(keys, tenantId, id, secret)
      const webhook = await appDb.tenant(tenantId, async (tx) => {
        // Two additions at once are counted one after the other.
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || ${tenantId}, 0))`
        if ((await tx.webhook.count({ where: { tenantId } })) >= MAX_WEBHOOKS)
          throw new AppError(
            'resource.limit_exceeded',
            `A workspace has at most ${MAX_WEBHOOKS} webhooks. Remove one first.`,
          )
        const row = await tx.webhook.create({
          data: {
            tenantId,
            id,
            url,
            sealedSecret: sealed,
            keyVersion,
            createdBy: principal.kind === 'operator' ? null : principal.personId,
          },
          select: SHOWN,
        })
        await events.event(tx, {
          tenantId,
          action: 'webhook.created',
          actor: actorOf(principal),
          targetId: id,
          detail: { host: new URL(url).host },
          network: principal.network,
        })
        return toWebhook(row)
      })
      return { webhook, secret }
    },

    async remove(principal, id) {
      checkPermission(principal, 'webhook.manage')
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        const { count } = await tx.webhook.deleteMany({ where: { tenantId, id } })
        if (count === 0) throw notFound()
        await events.never(tx, {
          tenantId,
          action: 'webhook.deleted',
          actor: actorOf(principal),
          targetId: id,
          network: principal.network,
        })
      })
    },

    async test(principal, id) {
      checkPermission(principal, 'webhook.manage')
      const { tenantId } = principal
      const delivery = await appDb.tenant(tenantId, async (tx) => {
        await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || ${tenantId}, 0))`
        const { disabledAt } = await load(tx, tenantId, id)
        if (disabledAt !== null)
          throw new AppError('resource.conflict', 'This webhook was stopped. Remove it and add it again.')
        const [recent] = await tx.$queryRaw<{ tests: number; now: Date }[]>`
          SELECT count(*) FILTER (WHERE created_at > now() - interval '10 minutes')::int AS tests, now() AS now
            FROM webhook_delivery WHERE tenant_id = ${tenantId} AND type = 'webhook.test'`
        if ((recent?.tests ?? 0) >= MAX_TESTS)
          throw new AppError('request.rate_limited', 'That is enough tries for now. Wait ten minutes.', {
            retryAfterSeconds: 600,
          })
        const timestamp = (recent?.now ?? new Date()).toISOString()
        const row = await tx.webhookDelivery.create({
          data: {
            tenantId,
            id: newId('delivery'),
            webhookId: id,
            type: 'webhook.test',
            itemCount: 0,
            body: JSON.stringify({ type: 'webhook.test', timestamp, data: { workspaceId: tenantId } }),
          },
        })
        await events.event(tx, {
          tenantId,
          action: 'webhook.tested',
          actor: actorOf(principal),
          targetId: id,
          network: principal.network,
        })
        return toDelivery(row)
      })
      await announce(tenantId, delivery.id)
      return delivery
    },

    async deliveries(principal, id) {
      checkPermission(principal, 'webhook.read')
      const { tenantId } = principal
      return appDb.tenant(tenantId, async (tx) => {
        await load(tx, tenantId, id)
        const rows = await tx.webhookDelivery.findMany({
          where: { tenantId, webhookId: id },
          orderBy: { id: 'desc' },
          take: DELIVERIES_SHOWN,
        })
        return rows.map(toDelivery)
      })
    },
  }
}

const SHOWN = {
  id: true,
  url: true,
  createdAt: true,
  lastDeliveredAt: true,
  failingSince: true,
  disabledAt: true,
  disabledReason: true,
} as const

async function load(tx: AppTx, tenantId: TenantId, id: string): Promise<Webhook> {
  const row = await tx.webhook.findUnique({ where: { tenantId_id: { tenantId, id } }, select: SHOWN })
  if (row === null) throw notFound()
  return toWebhook(row)
}

const toWebhook = (row: Omit<Webhook, 'id'> & { readonly id: string }): Webhook => ({
  ...row,
  id: brand<'webhook'>(row.id),
})

function toDelivery(row: {
  readonly id: string
  readonly type: string
  readonly itemCount: number
  readonly status: string
  readonly attempts: number
  readonly createdAt: Date
  readonly lastAttemptAt: Date | null
  readonly nextAt: Date
  readonly lastStatus: number | null
  readonly lastError: string | null
}): Delivery {
  const status = row.status === 'delivered' || row.status === 'failed' ? row.status : 'queued'
  const { type, itemCount, attempts, createdAt, lastAttemptAt, lastStatus, lastError } = row
  return {
    id: brand<'delivery'>(row.id),
    type,
    itemCount,
    status,
    attempts,
    createdAt,
    lastAttemptAt,
    nextAt: status === 'queued' && attempts > 0 ? row.nextAt : null,
    lastStatus,
    lastError,
  }
}

/** The address as it will be asked. What it may not be is said; where it leads is found out when it is called. */
export function parseAddress(given: string, httpOrigins: readonly string[]): string {
  const refuse = (message: string) => new AppError('request.invalid', message, { field: 'url' })
  if (given.length > MAX_URL || !URL.canParse(given))
    throw refuse('Enter a whole address, such as https://example.com/hooks.')
  const url = new URL(given)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && httpOrigins.includes(url.origin)))
    throw refuse('The address has to begin with https://.')
  if (url.username !== '' || url.password !== '')
    throw refuse('An address with a user name or password is not taken; check the signature instead.')
  url.hash = ''
  return url.href
}
