/**
 * Tells places outside the database how far each chain has come, signed.
 *
 * What a place was told last is remembered after it was told, so a process that dies in between tells it twice. A place
 * that is away is told where the chain is by then: nothing piles up.
 *
 * @module
 */
import type { Clock } from '../../clock'
import { brand, type TenantId } from '../../ids'
import type { Log } from '../../log'
import type { CheckpointSink } from './sinks'
import type { ChainKeys, Statement } from './statement'
import type { ChainStore } from './store'

export interface Checkpoints {
  /** @returns how many statements arrived, over all places */
  run(): Promise<number>
  /** Tells every place at once that this was cut; the first one must have it. */
  tellCut(cut: Statement): Promise<void>
}

const BATCH = 200
const MAX_BATCHES = 50

export function createCheckpoints(deps: {
  readonly store: ChainStore
  readonly keys: ChainKeys
  /** The first one is the file. */
  readonly sinks: readonly CheckpointSink[]
  /** How long a place may go without being told of a chain that grows. */
  readonly everySeconds: number
  readonly clock: Clock
  readonly log: Log
  readonly batch?: number
}): Checkpoints {
  const { store, keys, sinks, everySeconds, clock, log, batch = BATCH } = deps

  const sayOf = (tenantId: TenantId): Promise<Statement | undefined> =>
    store.tenant(tenantId, async (client) => {
      const { rows } = await client.query<{ position: string; hash: Buffer }>(
        'SELECT position::text, hash FROM audit_head WHERE tenant_id = $1 AND position > 0',
        [tenantId],
      )
      const head = rows[0]
      return (
        head &&
        keys.sign({
          kind: 'checkpoint',
          tenant: tenantId,
          position: Number(head.position),
          hash: head.hash.toString('hex'),
          at: clock.now().toISOString(),
        })
      )
    })

  const remember = (sink: CheckpointSink, { tenant, position }: Statement) =>
    store.tenant(tenant, async (client) => {
      await client.query(
        `INSERT INTO audit_checkpoint (tenant_id, sink, position) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id, sink) DO UPDATE SET position = GREATEST(audit_checkpoint.position, EXCLUDED.position), told_at = now()`,
        [tenant, sink.name, position],
      )
    })

  const tellSome = async (sink: CheckpointSink): Promise<number> => {
    const rows = await store.query<{ tenant_id: string }>('SELECT tenant_id FROM audit_untold_tenants($1, $2, $3)', [
      sink.name,
      everySeconds,
      batch,
    ])
    const statements: Statement[] = []
    for (const { tenant_id } of rows) {
      const statement = await sayOf(brand<'tenant'>(tenant_id))
      if (statement !== undefined) statements.push(statement)
    }
    await sink.tell(statements)
    for (const statement of statements) await remember(sink, statement)
    return statements.length
  }

  return {
    async run() {
      let told = 0
      for (const sink of sinks) {
        try {
          for (let round = 0; round < MAX_BATCHES; round += 1) {
            const some = await tellSome(sink)
            told += some
            if (some < batch) break
          }
        } catch (error) {
          log.error({ err: error, sink: sink.name }, 'audit checkpoints could not be told; they are told again')
        }
      }
      return told
    },
    async tellCut(cut) {
      for (const [index, sink] of sinks.entries()) {
        try {
          await sink.tell([cut])
        } catch (error) {
          if (index === 0) throw error
          log.error({ err: error, sink: sink.name }, 'a cut of an audit chain could not be told')
        }
      }
    },
  }
}
