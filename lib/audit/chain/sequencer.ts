/**
 * Links records to their workspace's chain, after they were committed.
 *
 * One transaction adds one batch: it locks the head of the chain, reads records that have no link, adds theirs and moves
 * the head. A process that dies leaves all of that or none of it; a second worker passes by a head that is locked. So
 * positions have no gaps and every record gets one, however many workers there are and whenever they end.
 *
 * A record becomes visible when its transaction commits, which may be after a later one's. Each look therefore begins a
 * little before the newest link; a long look back, now and then, finds what came later than anything of ours may. The
 * verifier names such a record, because it was not written when it says.
 *
 * @module
 */
import type pg from 'pg'

import { brand, type TenantId } from '../../ids'
import type { Log } from '../../log'
import { GENESIS, hashOf, JOIN_ERASURE, LATENESS_MS, RECORD_COLUMNS, type StoredRecord } from './link'
import type { ChainStore } from './store'

export interface SequencerReport {
  readonly tenants: number
  readonly records: number
  /** How long the record that waited longest had waited when it got its link. */
  readonly lagSeconds: number
  /** The time was up before the work was done. */
  readonly isBehind: boolean
}

export interface Linked {
  readonly linked: number
  readonly lagSeconds: number
  /** Time of the last record of the batch, as the database writes it. */
  readonly to: string | undefined
}

export interface Sequencer {
  /** Links what there is, for a bounded time. */
  run(options?: { readonly isDeep?: boolean; readonly budgetMs?: number }): Promise<SequencerReport>
  /**
   * One batch of one workspace.
   *
   * @param from  where the batch before ended, in a row of them: everything earlier was looked at just now
   * @returns null when another worker is at it
   */
  linkSome(tenantId: TenantId, lookBackMs: number, from?: string): Promise<Linked | null>
}

const BATCH = 1_000
const MAX_TENANTS = 10_000
/** In a row for one workspace; then the others have their turn. */
const BATCHES_IN_A_ROW = 5
const LOOK_BACK_MS = LATENESS_MS / 2
const DEEP_LOOK_BACK_MS = 2 * 86_400_000
const BUDGET_MS = 20_000

interface Head {
  readonly position: string
  readonly hash: Buffer
  readonly since: string
}

export function createSequencer(deps: {
  readonly store: ChainStore
  readonly log: Log
  readonly batch?: number
}): Sequencer {
  const { store, log, batch = BATCH } = deps

  const linkSome: Sequencer['linkSome'] = (tenantId, lookBackMs, from) =>
    store.tenant(tenantId, async (client) => {
      const head = (await lockHead(client, tenantId, lookBackMs)) ?? (await makeHead(client, tenantId, lookBackMs))
      if (head === undefined) return null
      const { rows } = await client.query<StoredRecord & { waited: number; recorded_at: string }>(
        {
          name: 'audit_unlinked',
          // The subquery with its limit keeps the planner to one look-up a record; a chain may have millions of links.
          text: `SELECT ${RECORD_COLUMNS}, r.recorded_at::text AS recorded_at,
                        extract(epoch FROM clock_timestamp() - r.recorded_at)::float8 AS waited
                   FROM audit_record r ${JOIN_ERASURE}
                   LEFT JOIN LATERAL (
                     SELECT 1 AS one FROM audit_link x WHERE x.tenant_id = r.tenant_id AND x.record_id = r.id LIMIT 1) AS l ON true
                  WHERE r.tenant_id = $1 AND r.recorded_at >= $2::timestamptz AND l.one IS NULL
                  ORDER BY r.recorded_at, r.id LIMIT $3`,
        },
        [tenantId, from ?? head.since, batch],
      )
      const last = rows.at(-1)
      if (last === undefined) {
        await client.query('UPDATE audit_head SET updated_at = now() WHERE tenant_id = $1', [tenantId])
        return { linked: 0, lagSeconds: 0, to: undefined }
      }
      let position = Number(head.position)
      let previous: Buffer = head.hash
      const links = {
        positions: [] as number[],
        records: [] as string[],
        previous: [] as Buffer[],
        hashes: [] as Buffer[],
      }
      for (const record of rows) {
        position += 1
        const hash = hashOf(position, previous, record)
        links.positions.push(position)
        links.records.push(record.record_id)
        links.previous.push(previous)
        links.hashes.push(hash)
        previous = hash
      }
      await client.query(
        `INSERT INTO audit_link (tenant_id, position, record_id, previous, hash)
         SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::bytea[])`,
        [tenantId, links.positions, links.records, links.previous, links.hashes],
      )
      await client.query(
        `UPDATE audit_head SET position = $2, hash = $3, recorded_to = GREATEST(recorded_to, $4::timestamptz), updated_at = now()
          WHERE tenant_id = $1`,
        [tenantId, position, previous, last.recorded_at],
      )
      return { linked: rows.length, lagSeconds: rows[0]?.waited ?? 0, to: last.recorded_at }
    })

  return {
    linkSome,
    async run({ isDeep = false, budgetMs = BUDGET_MS } = {}) {
      const until = performance.now() + budgetMs
      const lookBackMs = isDeep ? DEEP_LOOK_BACK_MS : LOOK_BACK_MS
      let waiting = (
        await store.query<{ tenant_id: string }>('SELECT tenant_id FROM audit_unlinked_tenants($1, $2)', [
          lookBackMs / 1_000,
          MAX_TENANTS,
        ])
      ).map((row) => brand<'tenant'>(row.tenant_id))
      const touched = new Set<TenantId>()
      let records = 0
      let lagSeconds = 0
      while (waiting.length > 0 && performance.now() < until) {
        const unfinished: TenantId[] = []
        for (const tenantId of waiting) {
          if (performance.now() >= until) {
            unfinished.push(tenantId)
            continue
          }
          try {
            let from: string | undefined
            for (let round = 1; ; round += 1) {
              const done = await linkSome(tenantId, lookBackMs, from)
              if (done === null) break
              from = done.to
              records += done.linked
              lagSeconds = Math.max(lagSeconds, done.lagSeconds)
              if (done.linked > 0) touched.add(tenantId)
              if (done.linked < batch) break
              if (round === BATCHES_IN_A_ROW || performance.now() >= until) {
                unfinished.push(tenantId)
                break
              }
            }
          } catch (error) {
            // One workspace's trouble is not another's: a chain that was tampered with may take no more links.
            log.error({ err: error, tenantId }, 'the audit chain of a workspace could not be continued')
          }
        }
        waiting = unfinished
      }
      return { tenants: touched.size, records, lagSeconds, isBehind: waiting.length > 0 }
    },
  }
}

/** @returns undefined when there is none, or another worker has it */
async function lockHead(client: pg.PoolClient, tenantId: TenantId, lookBackMs: number): Promise<Head | undefined> {
  const { rows } = await client.query<Head>(
    `SELECT position::text, hash,
            CASE WHEN recorded_to IS NULL THEN '-infinity'
                 ELSE (LEAST(recorded_to, clock_timestamp()) - make_interval(secs => $2))::text END AS since
       FROM audit_head WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED`,
    [tenantId, lookBackMs / 1_000],
  )
  return rows[0]
}

/** The first link's, or the one that was lost: it continues what there is. */
async function makeHead(client: pg.PoolClient, tenantId: TenantId, lookBackMs: number): Promise<Head | undefined> {
  await client.query(
    `INSERT INTO audit_head (tenant_id, position, hash, recorded_to)
     SELECT $1, COALESCE(l.position, c.position, 0), COALESCE(l.hash, c.hash, $2), l.recorded_at
       FROM (SELECT 1) AS one
       LEFT JOIN LATERAL (
         SELECT x.position, x.hash, r.recorded_at FROM audit_link x
           LEFT JOIN audit_record r ON r.tenant_id = x.tenant_id AND r.id = x.record_id
          WHERE x.tenant_id = $1 ORDER BY x.position DESC LIMIT 1) AS l ON true
       LEFT JOIN LATERAL (
         SELECT x.position, x.hash FROM audit_cut x WHERE x.tenant_id = $1 ORDER BY x.position DESC LIMIT 1) AS c ON true
     ON CONFLICT (tenant_id) DO NOTHING`,
    [tenantId, GENESIS],
  )
  return lockHead(client, tenantId, lookBackMs)
}
