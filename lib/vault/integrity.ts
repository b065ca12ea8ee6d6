/**
 * What happens when stored data is not what was stored: an alarm, once a minute for each value at most, and a refusal.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import { AppError } from '../errors'
import type { TenantId } from '../ids'
import type { Log } from '../log'

export interface IntegrityAlarm {
  readonly tenantId: TenantId
  readonly connectionId: string
  /** `altered`: a sealed value does not open in its place. `rolled_back`: the row is older than what was committed. `key_missing`: no such key. */
  readonly reason: 'altered' | 'rolled_back' | 'key_missing'
  readonly field: string
  readonly generation: number
}

export type OnIntegrityAlarm = (alarm: IntegrityAlarm) => void | Promise<void>

export interface Integrity {
  raise(alarm: IntegrityAlarm): void
  /** Runs what opens a sealed value; a failure raises the alarm and goes on to the caller. */
  watch<T>(alarm: Omit<IntegrityAlarm, 'reason'>, work: () => Promise<T>): Promise<T>
}

export function createIntegrity(deps: { readonly onIntegrityAlarm: OnIntegrityAlarm; readonly log: Log }): Integrity {
  const recent = new LRUCache<string, true>({ max: 10_000, ttl: 60_000 })
  const raise: Integrity['raise'] = (alarm) => {
    const name = `${alarm.tenantId}/${alarm.connectionId}/${alarm.field}/${alarm.reason}`
    if (recent.has(name)) return
    recent.set(name, true)
    deps.log.error({ ...alarm }, 'A stored credential failed its integrity check.')
    void (async () => deps.onIntegrityAlarm(alarm))().catch((error: unknown) => {
      recent.delete(name)
      deps.log.error({ err: error }, 'An integrity alarm could not be recorded.')
    })
  }
  return {
    raise,
    async watch(alarm, work) {
      try {
        return await work()
      } catch (error) {
        if (error instanceof AppError && (error.code === 'vault.unreadable' || error.code === 'vault.wrong_key'))
          raise({ ...alarm, reason: 'altered' })
        // A version that is not there is a fault of the row or of the store. With no keys at all, or with a key service
        // that is away, nothing can be said.
        if (error instanceof AppError && error.code === 'vault.key_unavailable' && 'version' in error.internal)
          raise({ ...alarm, reason: 'key_missing' })
        throw error
      }
    },
  }
}

/** @throws AppError `vault.unreadable` when the row is older than the application database knows it to be */
export function refuseRollback(
  integrity: Integrity,
  row: { readonly tenantId: TenantId; readonly connectionId: string; readonly generation: number },
  minGeneration: number,
): void {
  if (row.generation >= minGeneration) return
  const { tenantId, connectionId, generation } = row
  integrity.raise({ tenantId, connectionId, generation, field: 'row', reason: 'rolled_back' })
  throw new AppError('vault.unreadable', 'The stored credential could not be read.', {
    internal: { connectionId, generation, minGeneration },
  })
}
