/**
 * Records of what an unproven visitor did to somebody's account: a refused sign-in, a reset that was asked for. Written
 * after the answer, so that an address with an account costs the visitor the same time as one without. How many there can
 * be is bounded by the limits that were counted before.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import { enterTenant, tenantsOf } from '../db/enter-tenant'
import { brand } from '../ids'
import type { RecordsEvents } from '../tenancy/events'

export function recordBehind(
  deps: { readonly appDb: AppDb; readonly events: RecordsEvents },
  what: {
    readonly action: 'person.sign_in_refused' | 'person.password_reset_requested'
    /** Canonical address. */
    readonly account: string
  },
  network: string,
): void {
  setImmediate(() => {
    deps.appDb
      .transaction(async (tx) => {
        const person = await tx.person.findUnique({ where: { emailCanonical: what.account }, select: { id: true } })
        if (person === null) return
        for (const tenantId of await tenantsOf(tx, person.id)) {
          await enterTenant(tx, tenantId)
          await deps.events.never(tx, {
            tenantId,
            action: what.action,
            // Whoever it was: it is about this person and need not have been them.
            actor: { kind: 'anonymous' },
            detail: { personId: brand<'person'>(person.id) },
            network,
            ...(what.action === 'person.sign_in_refused' ? { outcome: 'denied' as const } : {}),
          })
        }
      })
      .catch(() => undefined) // the visitor has their answer; the limiter's own counters still tell
  })
}
