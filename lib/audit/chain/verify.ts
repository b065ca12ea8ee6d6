/**
 * Whether a workspace's trail is what was written: every link is computed again from its record, and compared with what
 * was said about the chain outside of the database. Names the first record that is not right, and what was done to it as
 * far as that can be seen.
 *
 * Somebody who owns the database can compute a whole chain anew. That shows only by the checkpoints outside, which is why
 * there are some, and why a chain that no checkpoint speaks of is reported as such.
 *
 * @module
 */
import type { TenantId } from '../../ids'
import { GENESIS, hashOf, JOIN_ERASURE, LATENESS_MS, RECORD_COLUMNS, type StoredRecord } from './link'
import { statementSchema, type ChainKeys, type Statement } from './statement'
import type { ChainStore } from './store'

export const PROBLEM_KINDS = [
  /** Its content is not what it was when it was linked. */
  'edited',
  /** It is gone, though the chain says that it was there. */
  'deleted',
  /** It was put in afterwards. */
  'inserted',
  /** It stands in another's place. */
  'reordered',
  /** It claims to be older than what was recorded before it. */
  'back_dated',
  /** It claims to be younger than its link. */
  'post_dated',
  /** The chain ends before what a checkpoint or its own head says: its end was cut off, or an older state was restored. */
  'truncated',
  /** The chain holds together and is not the one that a checkpoint saw: it was computed anew from somewhere before. */
  'rewritten',
  /** A checkpoint knows the workspace and the database does not. */
  'gone',
  /** A statement in the checkpoints is not signed by a key of ours. */
  'forged_checkpoint',
] as const
export type ProblemKind = (typeof PROBLEM_KINDS)[number]

export interface Problem {
  readonly kind: ProblemKind
  readonly position: number | null
  readonly recordId: string | null
  readonly detail: string
}

export interface ChainReport {
  readonly tenantId: string
  readonly ok: boolean
  /** Links that were computed again. */
  readonly checked: number
  readonly from: number
  readonly to: number
  /** The newest position that a checkpoint vouches for. */
  readonly vouchedTo: number
  readonly checkpoints: number
  /** Up to which position retention has removed records. */
  readonly cutAt: number
  readonly erased: number
  /** Records that have no link yet, and how long the oldest has been waiting. */
  readonly waiting: number
  readonly waitingSeconds: number
  /** The first thing that is wrong comes first. */
  readonly problems: readonly Problem[]
}

export interface VerifyDeps {
  readonly store: ChainStore
  readonly keys: Pick<ChainKeys, 'isSigned'>
  readonly page?: number
  /** After each page; records are looked at twice, once in their chain and once by themselves. What it throws ends the work. */
  readonly onProgress?: (progress: Progress) => Promise<void>
}

export interface Progress {
  readonly done: number
  /** As far as can be said. */
  readonly total: number
}

interface LinkRow extends Partial<StoredRecord> {
  readonly position: string
  readonly linked_id: string
  readonly previous: Buffer
  readonly hash: Buffer
  readonly linked_ms: string
  readonly recorded_ms: string | null
  readonly is_erased: boolean
}

interface Bounds {
  readonly head_position: string | null
  readonly head_hash: Buffer | null
  readonly last_position: string | null
  readonly cut: Statement | null
}

const PAGE = 2_000
const ATTEMPTS = 3
/** How far from its place a record is looked for. */
const SHIFT = 64
const SIGNATURES_IN_A_ROW = 200

/**
 * @param statements  what was said about this tenant, from wherever; in any order, more than once
 */
export async function verifyChain(
  deps: VerifyDeps,
  tenantId: TenantId,
  statements: readonly Statement[],
): Promise<ChainReport> {
  for (let attempt = 1; ; attempt += 1) {
    const report = await verifyOnce(deps, tenantId, statements)
    // Retention may have removed what was just being read; then its cut says so.
    const moved = newestCut([await boundsOf(deps.store, deps.keys, tenantId)].flatMap(({ cut }) => cut ?? []))
    if (report.ok || attempt === ATTEMPTS || (moved?.position ?? 0) <= report.cutAt) return report
  }
}

async function verifyOnce(
  { store, keys, page = PAGE, onProgress = () => Promise.resolve() }: VerifyDeps,
  tenantId: TenantId,
  statements: readonly Statement[],
): Promise<ChainReport> {
  const problems: Problem[] = []
  const { said, forged } = await sortBySignature(keys, statements)
  const checkpoints = hashesOf(said.filter(({ kind }) => kind === 'checkpoint'))
  const last = Math.max(0, ...checkpoints.keys())
  const bounds = await boundsOf(store, keys, tenantId)
  // A cut whose row was lost counts all the same: it was said outside.
  const cut = newestCut([...(bounds.cut === null ? [] : [bounds.cut]), ...said.filter(({ kind }) => kind === 'cut')])
  const end = Number(bounds.head_position ?? bounds.last_position ?? cut?.position ?? 0)

  const links = Math.max(0, end - (cut?.position ?? 0))
  let done = 0
  const onPage = (rows: number) => {
    done += rows
    return onProgress({ done, total: Math.max(done, 2 * links) })
  }
  const walk = await walkChain({ store, page, onPage }, tenantId, checkpoints, cut, end)
  if (walk.problem !== undefined) problems.push(walk.problem)
  else {
    const atEnd = endProblem(bounds, walk, last, end)
    if (atEnd !== undefined) problems.push(atEnd)
  }
  const loose = await looseRecords({ store, page, onPage }, tenantId)
  if (loose.inserted !== undefined)
    problems.push({
      kind: 'inserted',
      position: null,
      recordId: loose.inserted,
      detail: 'has no link although later records have one: it was not there when they were linked',
    })
  if (forged !== undefined)
    problems.push({
      kind: 'forged_checkpoint',
      position: forged.position,
      recordId: null,
      detail: `a ${forged.kind} of ${forged.at} is not signed by a known key (${forged.key})`,
    })
  return {
    tenantId,
    ok: problems.length === 0,
    checked: walk.checked,
    from: walk.from,
    to: walk.position,
    vouchedTo: walk.vouchedTo,
    checkpoints: checkpoints.size,
    cutAt: cut?.position ?? 0,
    erased: walk.erased,
    waiting: loose.waiting,
    waitingSeconds: loose.waitingSeconds,
    problems,
  }
}

interface Walk {
  readonly checked: number
  readonly from: number
  /** The last one that is right, and its hash. */
  readonly position: number
  readonly hash: Buffer
  readonly vouchedTo: number
  readonly erased: number
  readonly problem?: Problem
}

interface Pages {
  readonly store: ChainStore
  readonly page: number
  readonly onPage: (rows: number) => Promise<void>
}

/** A signature takes a while to check, and there may be one for every minute of years: others have their turn in between. */
async function sortBySignature(keys: Pick<ChainKeys, 'isSigned'>, statements: readonly Statement[]) {
  const said: Statement[] = []
  let forged: Statement | undefined
  for (const [index, statement] of statements.entries()) {
    if (index % SIGNATURES_IN_A_ROW === SIGNATURES_IN_A_ROW - 1) await new Promise((resolve) => setImmediate(resolve))
    if (keys.isSigned(statement)) said.push(statement)
    else forged ??= statement
  }
  return { said, forged }
}

async function walkChain(
  { store, page, onPage }: Pages,
  tenantId: TenantId,
  checkpoints: ReadonlyMap<number, string>,
  cut: Statement | undefined,
  end: number,
): Promise<Walk> {
  let position = cut?.position ?? 0
  let hash: Buffer = cut === undefined ? GENESIS : Buffer.from(cut.hash, 'hex')
  const from = position + 1
  let checked = 0
  let erased = 0
  let vouchedTo = 0
  let latest = Number.NEGATIVE_INFINITY
  const result = (problem?: Problem): Walk => ({
    checked,
    from,
    position,
    hash,
    vouchedTo,
    erased,
    ...(problem === undefined ? {} : { problem }),
  })
  if (cut !== undefined) {
    const vouched = checkpoints.get(cut.position)
    if (vouched !== undefined && vouched !== cut.hash)
      return result(bad('rewritten', cut.position, null, 'the cut is not at the hash that a checkpoint saw there'))
    if (vouched !== undefined) vouchedTo = cut.position
  }
  while (position < end) {
    const rows = await readPage(store, tenantId, position, end, page)
    if (rows.length === 0) return result()
    for (const row of rows) {
      const expected = position + 1
      const problem = await linkProblem(store, tenantId, { position: expected, hash, from }, row)
      if (problem !== undefined) return result(problem)
      const recorded = Number(row.recorded_ms)
      if (recorded < latest - LATENESS_MS)
        return result(
          bad(
            'back_dated',
            expected,
            row.linked_id,
            `claims ${new Date(recorded).toISOString()}, and stands behind a record of ${new Date(latest).toISOString()}`,
          ),
        )
      if (recorded > Number(row.linked_ms) + LATENESS_MS)
        return result(bad('post_dated', expected, row.linked_id, 'claims to have been recorded after it was linked'))
      latest = Math.max(latest, recorded)
      const vouched = checkpoints.get(expected)
      if (vouched !== undefined && vouched !== row.hash.toString('hex'))
        return result(
          bad(
            'rewritten',
            vouchedTo + 1,
            null,
            `something in ${vouchedTo + 1} to ${expected} was changed and the chain computed anew: a checkpoint saw another hash at ${expected}`,
          ),
        )
      if (vouched !== undefined) vouchedTo = expected
      position = expected
      hash = row.hash
      checked += 1
      if (row.is_erased) erased += 1
    }
    await onPage(rows.length)
  }
  return result()
}

/** What is wrong with one link, if anything; and then, as far as it shows, what was done. */
async function linkProblem(
  store: ChainStore,
  tenantId: TenantId,
  before: { readonly position: number; readonly hash: Buffer; readonly from: number },
  row: LinkRow,
): Promise<Problem | undefined> {
  const { position, hash: previous, from } = before
  const actual = Number(row.position)
  if (actual !== position)
    return bad(
      'deleted',
      position,
      null,
      actual === position + 1 ? 'its link is missing' : `the links ${position} to ${actual - 1} are missing`,
    )
  const record = recordOf(row)
  if (record === undefined) return bad('deleted', position, row.linked_id, 'the record is missing')
  const follows = row.previous.equals(previous)
  if (follows && hashOf(position, previous, record).equals(row.hash)) return undefined

  // Wherever a page happened to end.
  const near = await readPage(store, tenantId, Math.max(from, position - SHIFT) - 1, position + SHIFT, 2 * SHIFT + 1)
  const linkedAt = (wanted: number) => near.find((one) => Number(one.position) === wanted)?.linked_id ?? null
  if (follows) {
    const other = near.find((one) => {
      const candidate = recordOf(one)
      return (
        candidate !== undefined &&
        one.linked_id !== row.linked_id &&
        hashOf(position, previous, candidate).equals(row.hash)
      )
    })
    return other === undefined
      ? bad('edited', position, row.linked_id, 'the record is not what it was when it was linked')
      : bad('reordered', position, row.linked_id, `the record that was linked here is ${other.linked_id}`)
  }
  const elsewhere = await placeOf(store, tenantId, previous, position)
  if (elsewhere !== undefined)
    return bad('reordered', position, row.linked_id, `what was linked here stands at ${elsewhere}`)
  for (let shift = 1; shift <= SHIFT; shift += 1) {
    if (hashOf(position + shift, row.previous, record).equals(row.hash))
      return bad('deleted', position, null, `${shift} before ${row.linked_id} ${shift === 1 ? 'is' : 'are'} missing`)
    if (position - shift >= from && hashOf(position - shift, row.previous, record).equals(row.hash))
      return bad('inserted', position - shift, linkedAt(position - shift), 'was not in the chain')
  }
  if (position > from && hashOf(position, row.previous, record).equals(row.hash))
    return bad(
      'edited',
      position - 1,
      linkedAt(position - 1),
      'the record and its link are not those that the next one was linked to',
    )
  return bad('edited', position, row.linked_id, 'the record and its link do not follow the one before')
}

function endProblem(bounds: Bounds, walk: Walk, last: number, end: number): Problem | undefined {
  const next = walk.position + 1
  if (walk.position === 0 && last > 0 && bounds.head_position === null)
    return bad('gone', 1, null, `the workspace has no chain; a checkpoint has one that reached ${last}`)
  if (walk.from - 1 > end)
    return bad('truncated', walk.from, null, `the chain ends at ${end}, before what was removed from its beginning`)
  if (walk.position < end)
    return bad('truncated', next, null, `the chain ends at ${walk.position} and its head says ${end}`)
  if (walk.position < last)
    return bad(
      'truncated',
      next,
      null,
      `the chain ends at ${walk.position} and a checkpoint has ${last}: its end was cut off, or an older state was restored`,
    )
  if (bounds.head_position === null && walk.position > 0)
    return bad('truncated', next, null, 'the head of the chain is missing')
  if (bounds.last_position !== null && Number(bounds.last_position) > end)
    return bad('inserted', next, null, 'there are links beyond the head of the chain')
  if (bounds.head_hash !== null && end > 0 && !bounds.head_hash.equals(walk.hash))
    return bad('edited', walk.position, null, 'the head of the chain has another hash than its last link')
  return undefined
}

const bad = (kind: ProblemKind, position: number | null, recordId: string | null, detail: string): Problem => ({
  kind,
  position,
  recordId,
  detail,
})

function recordOf({ record_id, body, sealed_digest }: LinkRow): StoredRecord | undefined {
  return record_id == null || body == null ? undefined : { record_id, body, sealed_digest: sealed_digest ?? null }
}

function hashesOf(checkpoints: readonly Statement[]): Map<number, string> {
  // Two that disagree cannot both fit: the first said is kept, and the chain must be its.
  const hashes = new Map<number, string>()
  for (const { position, hash } of [...checkpoints].sort((a, b) => a.at.localeCompare(b.at)))
    if (!hashes.has(position)) hashes.set(position, hash)
  return hashes
}

const newestCut = (cuts: readonly Statement[]) => [...cuts].sort((a, b) => b.position - a.position)[0]

async function boundsOf(store: ChainStore, keys: Pick<ChainKeys, 'isSigned'>, tenantId: TenantId): Promise<Bounds> {
  return store.tenant(tenantId, async (client) => {
    const { rows } = await client.query<{
      head_position: string | null
      head_hash: Buffer | null
      last_position: string | null
    }>(
      // One statement, one moment: the sequencer may be at work.
      `SELECT h.position::text AS head_position, h.hash AS head_hash,
              (SELECT max(l.position)::text FROM audit_link l WHERE l.tenant_id = $1) AS last_position
         FROM (SELECT 1) AS one LEFT JOIN audit_head h ON h.tenant_id = $1`,
      [tenantId],
    )
    const { rows: cuts } = await client.query<{
      position: string
      hash: Buffer
      at: Date
      key: string
      signature: Buffer
    }>(
      `SELECT c.position::text, c.hash, c.cut_at AS at, c.key_id AS key, c.signature FROM audit_cut c
        WHERE c.tenant_id = $1 ORDER BY c.position DESC LIMIT 20`,
      [tenantId],
    )
    const signed = cuts
      .map(({ position, hash, at, key, signature }) =>
        statementSchema.safeParse({
          v: 1,
          kind: 'cut',
          tenant: tenantId,
          position: Number(position),
          hash: hash.toString('hex'),
          at: at.toISOString(),
          key,
          signature: signature.toString('base64url'),
        }),
      )
      .find((parsed) => parsed.success && keys.isSigned(parsed.data))
    const bounds = rows[0] ?? { head_position: null, head_hash: null, last_position: null }
    return { ...bounds, cut: signed?.data ?? null }
  })
}

function readPage(store: ChainStore, tenantId: TenantId, after: number, end: number, page: number): Promise<LinkRow[]> {
  return store.tenant(tenantId, async (client) => {
    const { rows } = await client.query<LinkRow>(
      `SELECT l.position::text, l.record_id AS linked_id, l.previous, l.hash,
              (extract(epoch FROM l.linked_at) * 1000)::text AS linked_ms,
              (extract(epoch FROM r.recorded_at) * 1000)::text AS recorded_ms,
              (r.sealed IS NULL AND e.digest IS NOT NULL) AS is_erased, ${RECORD_COLUMNS}
         FROM audit_link l
         LEFT JOIN audit_record r ON r.tenant_id = l.tenant_id AND r.id = l.record_id
         ${JOIN_ERASURE}
        WHERE l.tenant_id = $1 AND l.position > $2 AND l.position <= $3
        ORDER BY l.position LIMIT $4`,
      [tenantId, after, end, page],
    )
    return rows
  })
}

/** Where the link stands that continues this hash. */
async function placeOf(
  store: ChainStore,
  tenantId: TenantId,
  previous: Buffer,
  except: number,
): Promise<number | undefined> {
  const rows = await store.tenant(tenantId, (client) =>
    client.query<{ position: string }>(
      'SELECT l.position::text FROM audit_link l WHERE l.tenant_id = $1 AND l.previous = $2 AND l.position <> $3 ORDER BY l.position LIMIT 1',
      [tenantId, previous, except],
    ),
  )
  const found = rows.rows[0]
  return found === undefined ? undefined : Number(found.position)
}

/** Records without a link: those that wait for one, and the first of those that were not there in their time. */
async function looseRecords(
  { store, page, onPage }: Pages,
  tenantId: TenantId,
): Promise<{ readonly waiting: number; readonly waitingSeconds: number; readonly inserted: string | undefined }> {
  let after = { at: '-infinity', id: '' }
  let waiting = 0
  let waitingSeconds = 0
  let inserted: string | undefined
  for (;;) {
    const rows = await store.tenant(tenantId, async (client) => {
      const found = await client.query<{ id: string; at: string; is_loose: boolean; is_old: boolean; waited: number }>(
        `SELECT r.id, r.recorded_at::text AS at, l.one IS NULL AS is_loose,
                COALESCE(r.recorded_at < h.recorded_to - make_interval(secs => $4), false) AS is_old,
                extract(epoch FROM clock_timestamp() - r.recorded_at)::float8 AS waited
           FROM (SELECT x.tenant_id, x.id, x.recorded_at FROM audit_record x
                  WHERE x.tenant_id = $1 AND (x.recorded_at, x.id) > ($2::timestamptz, $3)
                  ORDER BY x.recorded_at, x.id LIMIT $5) AS r
           LEFT JOIN audit_head h ON h.tenant_id = r.tenant_id
           LEFT JOIN LATERAL (
             SELECT 1 AS one FROM audit_link y WHERE y.tenant_id = r.tenant_id AND y.record_id = r.id LIMIT 1) AS l ON true
          ORDER BY r.recorded_at, r.id`,
        [tenantId, after.at, after.id, LATENESS_MS / 1_000, page],
      )
      return found.rows
    })
    for (const row of rows) {
      if (!row.is_loose) continue
      if (row.is_old) inserted ??= row.id
      else {
        waiting += 1
        waitingSeconds = Math.max(waitingSeconds, row.waited)
      }
    }
    await onPage(rows.length)
    const last = rows.at(-1)
    if (last === undefined || rows.length < page) return { waiting, waitingSeconds, inserted }
    after = { at: last.at, id: last.id }
  }
}
