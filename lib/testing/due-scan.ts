/**
 * The plan of the scan for due refreshes, of the very statement that the database function runs and with its owner's rights.
 *
 * @module
 */
import type pg from 'pg'

export interface DueScanPlan {
  /** Every node that reads a table or an index. */
  readonly scans: readonly string[]
  readonly rows: number
  /** Rows for which the table itself had to be looked at. */
  readonly heapFetches: number
  /** Pages touched, in memory or not. */
  readonly buffers: number
  readonly ms: number
  readonly text: string
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Relation Name'?: string
  readonly 'Actual Rows': number
  readonly 'Heap Fetches'?: number
  readonly 'Shared Hit Blocks'?: number
  readonly 'Shared Read Blocks'?: number
  readonly Plans?: readonly PlanNode[]
}

/** @param client  a superuser's */
export async function explainDueScan(
  client: pg.Client,
  at: { readonly provider: string; readonly app: string; readonly window: number },
): Promise<DueScanPlan> {
  const found = await client.query<{ prosrc: string }>(`SELECT prosrc FROM pg_proc WHERE proname = 'due_window'`)
  const source = found.rows[0]?.prosrc
  if (source === undefined) throw new Error('due_window is not there')
  const statement = source.replaceAll('p_provider', '$1').replaceAll('p_app', '$2').replaceAll('p_window', '$3')
  await client.query('BEGIN')
  try {
    await client.query('SET LOCAL ROLE portcullis_resolver')
    // As in a function: a plan for any values.
    await client.query(`SET LOCAL plan_cache_mode = force_generic_plan`)
    await client.query(`PREPARE due_scan (text, text, integer) AS ${statement}`)
    const values = `'${at.provider}', '${at.app}', ${at.window}`
    const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode; 'Execution Time': number }] }>(
      `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE due_scan (${values})`,
    )
    const [top] = rows[0]?.['QUERY PLAN'] ?? []
    if (top === undefined) throw new Error('no plan')
    const nodes: PlanNode[] = []
    const walk = (node: PlanNode) => {
      nodes.push(node)
      node.Plans?.forEach(walk)
    }
    walk(top.Plan)
    const scans = nodes.filter((node) => node['Node Type'].includes('Scan'))
    return {
      scans: scans.map((node) => `${node['Node Type']} using ${node['Index Name'] ?? node['Relation Name'] ?? '?'}`),
      rows: top.Plan['Actual Rows'],
      heapFetches: scans.reduce((sum, node) => sum + (node['Heap Fetches'] ?? 0), 0),
      buffers: (top.Plan['Shared Hit Blocks'] ?? 0) + (top.Plan['Shared Read Blocks'] ?? 0),
      ms: top['Execution Time'],
      text: JSON.stringify(top.Plan, null, 1),
    }
  } finally {
    await client.query('ROLLBACK')
    await client.query('DEALLOCATE ALL')
  }
}

const MOST_VACUUMS = 200

/**
 * Afterwards every page of the table is known to be visible to all. A transaction that is ending elsewhere, autovacuum's
 * among them, keeps pages back from one vacuum, and the next takes them.
 *
 * @param client  a superuser's
 */
export async function vacuumCredentials(client: pg.Client): Promise<void> {
  await client.query('CHECKPOINT') // commits may be asynchronous; what is not on disk is not yet visible to all
  for (let n = 0; n < MOST_VACUUMS; n += 1) {
    await client.query('VACUUM ANALYZE credential')
    const { rows } = await client.query<{ hidden: number }>(
      `SELECT relpages - relallvisible AS hidden FROM pg_class WHERE relname = 'credential'`,
    )
    if (rows[0]?.hidden === 0) return
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  throw new Error('a transaction that does not end keeps pages back')
}
