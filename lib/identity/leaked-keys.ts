/**
 * Whoever finds a key of ours, in a repository or a log, may say so and it is revoked, without an account and without
 * learning anything: a key that exists, one that does not and a text that is no key get the same answer after the same
 * time. Holding the key is right enough to end it; who holds it could do worse.
 *
 * @module
 */
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'

import type { AppDb } from '../db/app-db'
import type { RateLimitStore } from '../db/rate-limit-store'
import { AppError } from '../errors'
import { brand, hashSecret, type Id } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import { queueMail, type AnnounceMail } from './outgoing-mail'

export const LEAK_RATES = {
  network: { points: 60, seconds: 900 },
  everybody: { points: 600, seconds: 60 },
} as const

/** Longer than finding and revoking a key takes, so that the clock tells nothing. */
export const ANSWER_AFTER_MS = 400

export interface LeakedKeys {
  /** @throws AppError `request.rate_limited`, or `service.unavailable` when nothing can be looked up: never for what was sent */
  report(text: string, network: string): Promise<void>
}

export function createLeakedKeys(deps: {
  readonly appDb: AppDb
  readonly store: RateLimitStore
  readonly events: RecordsEvents
  readonly announceMail: AnnounceMail
  /** Resolves once this many milliseconds have passed since the report came in. */
  readonly settle?: (startedAt: number) => Promise<void>
}): LeakedKeys {
  const { appDb, events } = deps
  const settle = deps.settle ?? settleAfter
  const limiter = (ring: keyof typeof LEAK_RATES) =>
    new RateLimiterPostgres({
      storeClient: deps.store.pool,
      storeType: 'pool',
      tableName: 'rate_limit',
      tableCreated: true,
      keyPrefix: `leaked_key.${ring}`,
      points: LEAK_RATES[ring].points,
      duration: LEAK_RATES[ring].seconds,
    })
  const rings = [
    ['network', limiter('network')],
    ['everybody', limiter('everybody')],
  ] as const

  async function count(network: string): Promise<void> {
    for (const [ring, one] of rings)
      try {
        await one.consume(ring === 'network' ? network : 'all')
      } catch (error) {
        if (error instanceof RateLimiterRes)
          throw new AppError('request.rate_limited', 'Too many reports. Wait a while, then try again.', {
            retryAfterSeconds: Math.max(1, Math.ceil(error.msBeforeNext / 1_000)),
          })
        throw unavailable(error)
      }
  }

  /** @returns mails to announce */
  async function revoke(text: string, network: string): Promise<readonly Id<'mail'>[]> {
    const [found] = await appDb.global.$queryRaw<{ tenant_id: string; key_id: string }[]>`
      SELECT tenant_id, key_id FROM api_key_by_hash(${hashSecret(text)})`
    if (found === undefined) return []
    const tenantId = brand<'tenant'>(found.tenant_id)
    return appDb.tenant(tenantId, async (tx) => {
      const [key] = await tx.$queryRaw<{ person_id: string; name: string; prefix: string; workspace: string }[]>`
        UPDATE api_key k SET revoked_at = now(), revoked_reason = 'leaked' FROM tenant t
         WHERE k.tenant_id = ${tenantId} AND k.id = ${found.key_id} AND k.revoked_at IS NULL AND t.id = k.tenant_id
        RETURNING k.person_id, k.name, k.prefix, t.name AS workspace`
      if (key === undefined) return [] // revoked before: everybody who had to know was told
      await events.never(tx, {
        tenantId,
        action: 'api_key.leaked',
        actor: { kind: 'anonymous' },
        targetId: found.key_id,
        network,
      })
      const people = await tx.$queryRaw<{ id: string; email: string }[]>`
        SELECT p.id, p.email FROM membership m JOIN person p ON p.id = m.person_id AND p.disabled_at IS NULL
         WHERE m.tenant_id = ${tenantId} AND (m.person_id = ${key.person_id} OR m.role = 'owner') ORDER BY p.id LIMIT 20`
      const mails: Id<'mail'>[] = []
      for (const person of people)
        mails.push(
          await queueMail(tx, {
            kind: 'notice',
            email: person.email,
            personId: brand<'person'>(person.id),
            data: {
              title: 'An API key was reported as leaked',
              body: `The key “${key.name}” (${key.prefix}…) of the workspace ${key.workspace} was found by somebody who reported it. It was revoked at once and opens nothing any more. Make a new one where it was used, and look at what was done with it.`,
              label: 'Open API keys',
              path: '/settings/api-keys',
            },
          }),
        )
      return mails
    })
  }

  return {
    async report(text, network) {
      const startedAt = performance.now()
      await count(network)
      let mails: readonly Id<'mail'>[]
      try {
        mails = await revoke(text, network)
      } catch (error) {
        throw unavailable(error)
      }
      // Not waited for: the rows are there, and a worker finds them by itself.
      for (const mail of mails) deps.announceMail(mail).catch(() => undefined)
      await settle(startedAt)
    },
  }
}

const unavailable = (cause: unknown) =>
  new AppError('service.unavailable', 'The report could not be taken. Try again in a moment.', {
    cause,
    retryAfterSeconds: 5,
  })

function settleAfter(startedAt: number): Promise<void> {
  const rest = ANSWER_AFTER_MS - (performance.now() - startedAt)
  return rest <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, rest))
}
