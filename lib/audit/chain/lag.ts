/**
 * How far the chains are behind their records, and what is told outside behind the chains, over all workspaces together.
 *
 * @module
 */
import type { AppDb } from '../../db/app-db'
import type { MetricSource, Sample } from '../../metrics'
import { LATENESS_MS } from './link'
import { SINK_NAMES } from './sinks'

/** Counted no further. */
export const MOST_COUNTED = 100_000

const UNLINKED_RECORDS = 'portcullis_audit_unlinked_records'
const UNLINKED_SECONDS = 'portcullis_audit_unlinked_seconds'
const CHECKPOINT_AGE = 'portcullis_audit_checkpoint_age_seconds'
const CHECKPOINT_BEHIND = 'portcullis_audit_checkpoint_behind_chains'
const label = { name: 'sink', values: SINK_NAMES }

export function createChainLag(deps: { readonly appDb: AppDb; readonly limit?: number }): MetricSource {
  const { appDb, limit = MOST_COUNTED } = deps
  return {
    gauges: [
      { name: UNLINKED_RECORDS, help: `Audit records that are in no chain yet, counted up to ${limit}.` },
      { name: UNLINKED_SECONDS, help: 'Seconds since the oldest audit record that is in no chain yet was made.' },
      { name: CHECKPOINT_AGE, help: 'Seconds since a place outside was last told of any chain.', label },
      { name: CHECKPOINT_BEHIND, help: 'Chains that have grown since a place outside was told of them.', label },
    ],
    read: async () => {
      const [backlog] = await appDb.global.$queryRaw<{ records: number; seconds: number }[]>`
        SELECT records, seconds FROM audit_backlog(${LATENESS_MS / 1_000}::float8, ${limit}::int)`
      const sinks = await appDb.global.$queryRaw<{ sink: string; seconds: number; behind: number }[]>`
        SELECT sink, seconds, behind FROM audit_checkpoint_ages()`
      return [
        { gauge: UNLINKED_RECORDS, value: backlog?.records ?? 0 },
        { gauge: UNLINKED_SECONDS, value: backlog?.seconds ?? 0 },
        ...sinks.flatMap(({ sink, seconds, behind }): Sample[] => [
          { gauge: CHECKPOINT_AGE, value: seconds, label: sink },
          { gauge: CHECKPOINT_BEHIND, value: behind, label: sink },
        ]),
      ]
    },
  }
}
