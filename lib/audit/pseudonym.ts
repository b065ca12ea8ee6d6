/**
 * Pseudonyms: in a record a person is a random name, and one side table says who it is. Deleting that row makes every
 * record of the person anonymous without touching one.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import type { AppDb, AppTx } from '../db/app-db'
import { newId, type TenantId } from '../ids'
import type { Subject } from './record'

export interface Pseudonyms {
  /** Gets or makes the pseudonym inside the caller's tenant transaction. */
  within(tx: AppTx, tenantId: TenantId, subject: Subject): Promise<string>
  /** As `within`, in a transaction of its own when the answer is not in memory. */
  of(tenantId: TenantId, subject: Subject): Promise<string>
}

export function createPseudonyms(appDb: AppDb): Pseudonyms {
  const known = new LRUCache<string, string>({ max: 10_000, ttl: 10 * 60_000 })
  const nameOf = (tenantId: TenantId, subject: Subject) => `${tenantId}:${subject.kind}:${subject.id}`

  const within: Pseudonyms['within'] = async (tx, tenantId, subject) => {
    const name = nameOf(tenantId, subject)
    const cached = known.get(name)
    if (cached !== undefined) return cached
    for (;;) {
      // A row this transaction made itself may yet be rolled back and must not be remembered: it has exactly its now().
      const [found] = await tx.$queryRaw<{ pseudonym: string; is_committed: boolean }[]>`
        SELECT pseudonym, created_at < now() AS is_committed FROM audit_identity
         WHERE tenant_id = ${tenantId} AND kind = ${subject.kind} AND subject_id = ${subject.id}`
      if (found !== undefined) {
        if (found.is_committed) known.set(name, found.pseudonym)
        return found.pseudonym
      }
      // Waits for whoever is inserting the same subject now; a loser reads the winner's row in the next round.
      const [made] = await tx.$queryRaw<{ pseudonym: string }[]>`
        INSERT INTO audit_identity (tenant_id, pseudonym, kind, subject_id)
        VALUES (${tenantId}, ${newId('pseudonym')}, ${subject.kind}, ${subject.id})
        ON CONFLICT (tenant_id, kind, subject_id) DO NOTHING RETURNING pseudonym`
      if (made !== undefined) return made.pseudonym
    }
  }

  return {
    within,
    of: async (tenantId, subject) => {
      const name = nameOf(tenantId, subject)
      const cached = known.get(name)
      if (cached !== undefined) return cached
      const pseudonym = await appDb.tenant(tenantId, (tx) => within(tx, tenantId, subject))
      known.set(name, pseudonym)
      return pseudonym
    },
  }
}
