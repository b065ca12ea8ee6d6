/**
 * A trail of any length, put in at once, and what its lists cost, for tests and measurements.
 *
 * Half of the records are intents, the other half their ends, with an event now and then; agents, tools, connections and
 * people are few and busy, and of each there is one that hardly ever acts: what an index must find among millions.
 *
 * @module
 */
import type pg from 'pg'

import { join, sql, type AppTx } from '../db/app-db'
import type { TenantId } from '../ids'
import { listStatement, type ActivityFilter } from '../audit/list'

const id = (prefix: string, n: string) => `'${prefix}_' || lpad(translate(to_hex(${n}), 'ilou', '0000'), 26, '0')`

export const RARE = {
  agentId: `agt_${'9'.repeat(26)}`,
  connectionId: `con_${'9'.repeat(26)}`,
  personId: `per_${'9'.repeat(26)}`,
  tool: 'slack_rare_tool',
  action: 'connection.restored',
} as const
export const BUSY = {
  agentId: `agt_${'0'.repeat(26)}`,
  connectionId: `con_${'0'.repeat(26)}`,
  personId: `per_${'0'.repeat(26)}`,
  tool: 'github_tool_0',
  action: 'connection.refreshed',
} as const

/** Puts in `records`, ending now, over ninety days. */
export async function insertTrail(
  client: Pick<pg.Client, 'query'>,
  tenantId: TenantId,
  records: number,
  from = 0,
): Promise<void> {
  const calls = Math.floor(records / 2)
  await client.query(
    `INSERT INTO audit_identity (tenant_id, pseudonym, kind, subject_id)
     VALUES ($1, 'psn_busy', 'person', $2), ($1, 'psn_rare', 'person', $3) ON CONFLICT DO NOTHING`,
    [tenantId, BUSY.personId, RARE.personId],
  )
  // One call in twenty thousand is a rare one; one record in a hundred is an event instead.
  await client.query(
    `INSERT INTO audit_record (tenant_id, id, kind, action, recorded_at, occurred_at, call_id, actor_kind, actor_pseudonym, agent_id,
        agent_session_id, connection_id, tool, profile_version, decision, outcome, reason, duration_ms)
     SELECT $1, ${id('aud', '(n * 2 + k)::bigint + $3::bigint * 4')}, CASE WHEN is_event THEN 'event' WHEN k = 0 THEN 'intent' ELSE 'outcome' END,
            CASE WHEN NOT is_event THEN 'tool.call' WHEN is_rare THEN '${RARE.action}' ELSE '${BUSY.action}' END,
            at + k * interval '80 milliseconds', at + k * interval '80 milliseconds',
            CASE WHEN is_event THEN NULL ELSE ${id('cal', 'n::bigint + $3::bigint * 2')} END, 'agent',
            CASE WHEN is_rare THEN 'psn_rare' ELSE 'psn_busy' END,
            CASE WHEN is_rare THEN '${RARE.agentId}' WHEN n % 3 = 0 THEN '${BUSY.agentId}' ELSE ${id('agt', '1 + n % 40')} END,
            ${id('ags', 'n % 50')},
            CASE WHEN is_rare THEN '${RARE.connectionId}' WHEN n % 3 = 0 THEN '${BUSY.connectionId}' ELSE ${id('con', '1 + n % 200')} END,
            CASE WHEN is_event THEN NULL WHEN is_rare THEN '${RARE.tool}' ELSE 'github_tool_' || n % 12 END,
            1,
            CASE WHEN is_event OR k = 1 THEN NULL WHEN is_denied THEN 'deny' ELSE 'permit' END,
            CASE WHEN is_event THEN 'success' WHEN k = 0 THEN NULL WHEN is_denied THEN 'denied' WHEN is_rare THEN 'unknown' ELSE 'success' END,
            NULL, CASE WHEN k = 1 THEN 80 END
       FROM (SELECT n, k, n % 100 = 50 AS is_event, n % 20000 IN (7, 50) AS is_rare, n % 5000 = 11 AS is_denied,
                    now() - interval '90 days' * (1 - n::float8 / $2) - interval '10 seconds' AS at
               FROM generate_series(1, $2::int) n CROSS JOIN (VALUES (0), (1)) k (k)) x
      WHERE NOT (is_event AND k = 1)`,
    [tenantId, calls, from],
  )
  await client.query('ANALYZE audit_record')
  await client.query('ANALYZE audit_identity')
}

/** Each filter alone, for what is rare and for what is everywhere. */
export function singleFilters(now: Date): readonly (readonly [string, ActivityFilter])[] {
  const day = (days: number) => new Date(now.getTime() - days * 86_400_000)
  return [
    ['nothing', {}],
    ['calls', { kind: 'call' }],
    ['events', { kind: 'event' }],
    ['a busy agent', { agentId: BUSY.agentId }],
    ['a rare agent', { agentId: RARE.agentId }],
    ['an agent that never acted', { agentId: `agt_${'8'.repeat(26)}` }],
    ['a busy person', { personId: BUSY.personId }],
    ['a rare person', { personId: RARE.personId }],
    ['a busy tool', { tool: BUSY.tool }],
    ['a rare tool', { tool: RARE.tool }],
    ['a busy connection', { connectionId: BUSY.connectionId }],
    ['a rare connection', { connectionId: RARE.connectionId }],
    ['a busy action', { action: BUSY.action }],
    ['a rare action', { action: RARE.action }],
    ['tool calls by name', { action: 'tool.call' }],
    ['permitted', { decision: 'permit' }],
    ['denied by decision', { decision: 'deny' }],
    ['waiting for approval', { decision: 'approval_required' }],
    ['success', { outcome: 'success' }],
    ['denied', { outcome: 'denied' }],
    ['unknown', { outcome: 'unknown' }],
    ['an outcome nobody had', { outcome: 'expired' }],
    ['pending', { outcome: 'pending' }],
    ['the last day', { from: day(1) }],
    ['long ago', { to: day(80) }],
    ['one day in the middle', { from: day(45), to: day(44) }],
  ]
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Actual Rows'?: number
  readonly 'Actual Loops'?: number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly Plans?: readonly PlanNode[]
}

export interface ListCost {
  /** How `audit_record` was read, with the index. */
  readonly scans: readonly string[]
  /** Rows of `audit_record` that were looked at, wanted or not. */
  readonly looked: number
  readonly ms: number
}

/** Runs the first page of a list under EXPLAIN. */
export async function explainList(
  tx: AppTx,
  filter: ActivityFilter & { readonly tenantId: TenantId },
  limit = 51,
): Promise<ListCost> {
  const [person] =
    filter.personId === undefined
      ? []
      : await tx.$queryRaw<{ pseudonym: string }[]>`
          SELECT pseudonym FROM audit_identity WHERE tenant_id = ${filter.tenantId} AND subject_id = ${filter.personId}`
  const statement = listStatement(filter, person?.pseudonym, null, limit)
  const [row] = await tx.$queryRaw<{ 'QUERY PLAN': readonly [{ Plan: PlanNode; 'Execution Time': number }] }[]>(
    join([sql`EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) `, statement], ' '),
  )
  if (row === undefined) throw new Error('no plan')
  const [explained] = row['QUERY PLAN']
  const scans: string[] = []
  let looked = 0
  const walk = (node: PlanNode): void => {
    if (node['Relation Name'] === 'audit_record' || /Bitmap Index Scan/.test(node['Node Type'])) {
      scans.push(`${node['Node Type']} ${node['Index Name'] ?? ''}`.trim())
      const rows = (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0)
      looked += (rows + (node['Rows Removed by Index Recheck'] ?? 0)) * (node['Actual Loops'] ?? 1)
    }
    for (const child of node.Plans ?? []) walk(child)
  }
  walk(explained.Plan)
  return { scans, looked, ms: explained['Execution Time'] }
}
