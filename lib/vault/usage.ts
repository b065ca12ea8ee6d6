/**
 * When each credential was last used by a call, in both databases: the vault decides by it whom nobody needs kept fresh,
 * people see it. Calls only leave a note in memory; notes are written together, and of one connection once a minute.
 *
 * What was left to expire because nobody used it is in the schedule again.
 *
 * Nobody waits for this. A row that somebody holds is skipped and written with the next notes, so it cannot take part in a
 * deadlock with the locks that calls take.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import type { VaultDb } from '../db/vault-db'
import type { ConnectionId, TenantId } from '../ids'
import type { Log } from '../log'

export interface Usage {
  touch(tenantId: TenantId, connectionId: ConnectionId): void
  /** Writes what is noted now. Never fails: what could not be written is kept for the next time. */
  flush(): Promise<void>
  /** Writes what is noted and stops. */
  close(): Promise<void>
}

const FLUSH_MS = 15_000
const ONCE_PER_MS = 60_000
/** Notes beyond this are dropped: the database being away may not fill the memory. */
const MAX_NOTES = 50_000
const BATCH = 500

export function createUsage(deps: {
  readonly appDb: AppDb
  readonly vaultDb: VaultDb
  readonly log: Log
  readonly monotonicMs?: () => number
  readonly flushMs?: number
}): Usage {
  const { appDb, vaultDb, log, monotonicMs = () => performance.now() } = deps
  /** When each connection was noted last; forgotten after its minute. */
  const noted = new Map<string, number>()
  let notes = new Map<TenantId, Set<string>>()
  let waiting = 0
  let flushing: Promise<void> | undefined

  const note = (tenantId: TenantId, connectionId: string) => {
    if (waiting >= MAX_NOTES) return
    const ids = notes.get(tenantId) ?? new Set<string>()
    notes.set(tenantId, ids)
    if (!ids.has(connectionId)) waiting += 1
    ids.add(connectionId)
  }

  const write = async (tenantId: TenantId, ids: readonly string[]): Promise<void> => {
    const written = await appDb.tenant(
      tenantId,
      (tx) => tx.$queryRaw<{ id: string }[]>`
        UPDATE connection SET last_used_at = clock_timestamp(), idle_since = NULL, idle_reason = NULL WHERE tenant_id = ${tenantId} AND id IN (
          SELECT id FROM connection WHERE tenant_id = ${tenantId} AND id = ANY(${[...ids]}::text[])
           ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING id`,
    )
    const done = new Set(written.map(({ id }) => id))
    await vaultDb.tenant(
      tenantId,
      (tx) => tx.$executeRaw`
        UPDATE credential SET last_used_at = clock_timestamp(), idle_since = NULL,
            refresh_at = CASE WHEN idle_since IS NULL OR refresh_sealed IS NULL OR refresh_at IS NOT NULL THEN refresh_at
              ELSE GREATEST(clock_timestamp(), issued_at + (access_expires_at - issued_at) * (0.5 + 0.3 * random())) END
         WHERE tenant_id = ${tenantId} AND connection_id IN (
          SELECT connection_id FROM credential WHERE tenant_id = ${tenantId} AND connection_id = ANY(${[...done]}::text[])
           ORDER BY connection_id FOR NO KEY UPDATE)`,
    )
    for (const id of ids) if (!done.has(id)) noted.delete(`${tenantId}/${id}`) // held by somebody: its next call notes it anew
  }

  const flushNow = async (): Promise<void> => {
    const batch = notes
    notes = new Map()
    waiting = 0
    for (const [tenantId, ids] of batch)
      for (let all = [...ids]; all.length > 0; all = all.slice(BATCH)) {
        const some = all.slice(0, BATCH)
        await write(tenantId, some).catch((error: unknown) => {
          log.warn({ err: error }, 'When connections were last used is written later.')
          for (const id of some) note(tenantId, id)
        })
      }
    const now = monotonicMs()
    for (const [name, at] of noted) if (now - at >= ONCE_PER_MS) noted.delete(name)
  }

  const flush = async (): Promise<void> => {
    // One at a time; a second asks for what was noted since.
    await flushing
    flushing = flushNow().finally(() => (flushing = undefined))
    await flushing
  }

  const timer = setInterval(() => void flush(), deps.flushMs ?? FLUSH_MS)
  timer.unref()

  return {
    touch(tenantId, connectionId) {
      const name = `${tenantId}/${connectionId}`
      const at = noted.get(name)
      const now = monotonicMs()
      if (at !== undefined && now - at < ONCE_PER_MS) return
      if (noted.size >= MAX_NOTES) noted.clear()
      noted.set(name, now)
      note(tenantId, connectionId)
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}
