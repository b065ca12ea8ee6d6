/**
 * Removes what a workspace keeps no longer, in a way that leaves the rest verifiable: only ever the beginning of the chain,
 * only after it was computed again and found right, and only behind a signed cut that keeps the hash the rest continues.
 *
 * The cut is told outside and stored before the first row goes; what a crash leaves undone the next run does.
 *
 * @module
 */
import type { Clock } from '../../clock'
import { brand, type TenantId } from '../../ids'
import type { Log } from '../../log'
import type { Checkpoints } from './checkpoints'
import { GENESIS, hashOf, JOIN_ERASURE, RECORD_COLUMNS, type StoredRecord } from './link'
import type { ChainKeys } from './statement'
import type { ChainStore } from './store'

const BATCH = 1_000
const MAX_BATCHES = 20

interface Row extends Partial<StoredRecord> {
  readonly position: string
  readonly hash: Buffer
  readonly is_over: boolean | null
}

export function createChainRetention(deps: {
  readonly store: ChainStore
  readonly keys: ChainKeys
  readonly checkpoints: Pick<Checkpoints, 'tellCut'>
  readonly clock: Clock
  readonly log: Log
  readonly batch?: number
}) {
  const { store, keys, checkpoints, clock, log, batch = BATCH } = deps

  /** The next cut: behind the last record in a row that is over, at most so many further than the one before. */
  const findCut = (tenantId: TenantId) =>
    store.tenant(tenantId, async (client) => {
      const { rows: before } = await client.query<{ position: string; hash: Buffer }>(
        'SELECT c.position::text, c.hash FROM audit_cut c WHERE c.tenant_id = $1 ORDER BY c.position DESC LIMIT 1',
        [tenantId],
      )
      const start = Number(before[0]?.position ?? 0)
      let position = start
      let hash: Buffer = before[0]?.hash ?? GENESIS
      const { rows } = await client.query<Row>(
        `SELECT l.position::text, l.hash, r.recorded_at < now() - make_interval(days => t.audit_retention_days) AS is_over, ${RECORD_COLUMNS}
           FROM audit_link l JOIN tenant t ON t.id = l.tenant_id
           LEFT JOIN audit_record r ON r.tenant_id = l.tenant_id AND r.id = l.record_id
           ${JOIN_ERASURE}
          WHERE l.tenant_id = $1 AND l.position > $2 ORDER BY l.position LIMIT $3`,
        [tenantId, start, batch],
      )
      for (const row of rows) {
        if (row.is_over === false) break
        const { record_id, body, sealed_digest = null } = row
        const isRight =
          row.is_over === true &&
          Number(row.position) === position + 1 &&
          record_id != null &&
          body != null &&
          hashOf(position + 1, hash, { record_id, body, sealed_digest }).equals(row.hash)
        if (!isRight) {
          // What was tampered with is evidence.
          log.error({ tenantId, position: position + 1 }, 'the audit chain does not verify; nothing of it is removed')
          break
        }
        position += 1
        hash = row.hash
      }
      return position === start ? undefined : { position, hash }
    })

  const cutOnce = async (tenantId: TenantId): Promise<boolean> => {
    const found = await findCut(tenantId)
    if (found === undefined) return false
    const cut = keys.sign({
      kind: 'cut',
      tenant: tenantId,
      position: found.position,
      hash: found.hash.toString('hex'),
      at: clock.now().toISOString(),
    })
    await checkpoints.tellCut(cut)
    await store.tenant(tenantId, (client) =>
      client.query(
        `INSERT INTO audit_cut (tenant_id, position, hash, cut_at, key_id, signature) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, position) DO NOTHING`,
        [tenantId, cut.position, found.hash, cut.at, cut.key, Buffer.from(cut.signature, 'base64url')],
      ),
    )
    return true
  }

  const removeSome = async (tenantId: TenantId): Promise<number> => {
    const rows = await store.tenant(tenantId, (client) =>
      client.query<{ n: number }>('SELECT audit_delete_cut($1, $2) AS n', [tenantId, batch]),
    )
    return rows.rows[0]?.n ?? 0
  }

  /** @returns how many records were removed */
  return async (): Promise<number> => {
    let removed = 0
    const tenants = await store.query<{ tenant_id: string }>('SELECT tenant_id FROM audit_retention_tenants()', [])
    for (const { tenant_id } of tenants) {
      const tenantId = brand<'tenant'>(tenant_id)
      try {
        for (let round = 0; round < MAX_BATCHES; round += 1) {
          const isCut = await cutOnce(tenantId)
          let some: number
          do removed += some = await removeSome(tenantId)
          while (some === batch)
          if (!isCut) break
        }
      } catch (error) {
        log.error({ err: error, tenantId }, 'records whose time is over could not be removed')
      }
    }
    if (removed > 0) log.info({ records: removed }, 'audit records whose time was over were removed')
    return removed
  }
}
