/** The trail under attack by whoever owns the database: what was done is seen, and the first bad record is named. */
import { createHash } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'
import { type AuditWorld } from '@/lib/testing/audit'
import { addCalls, asOwner, type ChainWorld, createChainWorld, createTrail } from '@/lib/testing/audit-chain'

import { hashOf, type StoredRecord } from './link'
import { newChainKeyFile, readChainKeys } from './statement'

describe('verifying a chain', () => {
  let db: ChainWorld['db']
  let audit: ChainWorld['audit']
  let chain: ChainWorld['chain']
  let close: ChainWorld['close']
  beforeAll(async () => {
    ;({ db, audit, chain, close } = await createChainWorld())
  })
  afterAll(() => close())

  /** Ten records, linked, and a checkpoint of the last. */
  const linkedTrail = async (): Promise<AuditWorld> => {
    const world = await createTrail(db, audit, 5)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    return world
  }
  const rowsOf = ({ tenantId }: AuditWorld) =>
    db.adminQuery(
      'app',
      `SELECT l.position::int, l.record_id, l.previous, l.hash, r.* FROM audit_link l
         JOIN audit_record r ON r.tenant_id = l.tenant_id AND r.id = l.record_id
        WHERE l.tenant_id = $1 ORDER BY l.position`,
      [tenantId],
    )
  const idAt = async (world: AuditWorld, position: number) => String((await rowsOf(world))[position - 1]?.['record_id'])
  const firstProblem = async (world: AuditWorld, options?: { readonly isBlind?: boolean }) =>
    (await chain.verify(world.tenantId, options)).problems[0]

  /** Whoever owns the database and knows how the chain is made can make it again from anywhere. */
  const computeAnew = async ({ tenantId }: AuditWorld) => {
    const rows = await db.adminQuery(
      'app',
      `SELECT l.position::int AS position, r.id AS record_id, (to_jsonb(r) - 'sealed')::text AS body, encode(sha256(r.sealed), 'hex') AS sealed_digest
         FROM audit_link l JOIN audit_record r ON r.tenant_id = l.tenant_id AND r.id = l.record_id
        WHERE l.tenant_id = $1 ORDER BY l.position`,
      [tenantId],
    )
    let previous: Buffer = Buffer.alloc(32)
    const updates: string[] = []
    for (const row of rows) {
      const position = Number(row['position'])
      const hash = hashOf(position, previous, row as unknown as StoredRecord) // as just selected
      updates.push(
        `UPDATE audit_link SET previous = '\\x${previous.toString('hex')}', hash = '\\x${hash.toString('hex')}'
          WHERE tenant_id = '${tenantId}' AND position = ${position}`,
      )
      previous = hash
    }
    await asOwner(
      db,
      ...updates,
      `UPDATE audit_head SET position = ${rows.length}, hash = '\\x${previous.toString('hex')}' WHERE tenant_id = '${tenantId}'`,
    )
  }

  it('finds nothing wrong with intents, outcomes, denials and events, each under a position of its own', async () => {
    const world = await createTrail(db, audit, 3)
    await audit.intent(world.call({ decision: 'deny', reason: 'tool_not_allowed' }))
    await db.app.tenant(world.tenantId, (tx) =>
      audit.event(tx, {
        tenantId: world.tenantId,
        action: 'agent.updated',
        actor: { kind: 'system' },
        detail: { a: 1 },
      }),
    )
    await chain.sequencer.run()
    await chain.checkpoints.run()
    const rows = await rowsOf(world)
    // A denial is written with its intent, in either order.
    expect(rows.slice(6, 8).map((row) => row['decision'] ?? row['outcome'])).toEqual(
      expect.arrayContaining(['deny', 'denied']),
    )
    expect([...rows.slice(0, 6), ...rows.slice(8)].map((row) => row['kind'])).toEqual([
      ...['intent', 'outcome', 'intent', 'outcome', 'intent', 'outcome', 'event'],
    ])
    expect(rows.map((row) => row['position'])).toEqual(rows.map((_, index) => index + 1))
    expect(await chain.verify(world.tenantId)).toMatchObject({
      ok: true,
      checked: 9,
      from: 1,
      to: 9,
      vouchedTo: 9,
      checkpoints: 1,
      waiting: 0,
      problems: [],
    })
  })

  it('the hash is what the description says, computed by somebody else', async () => {
    const world = await linkedTrail()
    const [row] = await db.adminQuery(
      'app',
      `SELECT l.hash, jsonb_strip_nulls(to_jsonb(r) - 'sealed') || jsonb_build_object('sealed', encode(sha256(r.sealed), 'hex')) AS record
         FROM audit_link l JOIN audit_record r ON r.tenant_id = l.tenant_id AND r.id = l.record_id
        WHERE l.tenant_id = $1 AND l.position = 1`,
      [world.tenantId],
    )
    // The session of this client has the server's time zone; the record is written in UTC.
    const record = row?.['record'] as Record<string, unknown> // a jsonb object
    const [times] = await db.adminQuery(
      'app',
      `SELECT to_jsonb(r.recorded_at AT TIME ZONE 'UTC') #>> '{}' || '+00:00' AS recorded_at,
              to_jsonb(r.occurred_at AT TIME ZONE 'UTC') #>> '{}' || '+00:00' AS occurred_at
         FROM audit_record r WHERE r.id = $1`,
      [record['id']],
    )
    const whole: Record<string, unknown> = { ...record, ...times }
    const sorted = Object.fromEntries(
      Object.keys(whole)
        .sort()
        .map((name) => [name, whole[name]]),
    )
    const text = `{"position":1,"previous":"${'0'.repeat(64)}","record":${JSON.stringify(sorted)},"v":1}`
    expect(createHash('sha256').update(text).digest('hex')).toBe((row?.['hash'] as Buffer).toString('hex'))
    expect(Object.keys(whole)).toEqual(expect.arrayContaining(['argument_digest', 'sealed', 'recorded_at', 'decision']))
  })

  it('edit: a change of any column of a record names that record', async () => {
    const world = await linkedTrail()
    const id = await idAt(world, 4) // an outcome, with sealed fields
    const columns = await db.adminQuery(
      'app',
      `SELECT column_name AS name, data_type AS type FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = 'audit_record' AND column_name NOT IN ('tenant_id', 'id')`,
    )
    expect(columns.length).toBeGreaterThan(18)
    const other: Record<string, string> = {
      kind: "'event'",
      decision: "CASE kind WHEN 'outcome' THEN 'permit' END",
      outcome: "'error'",
      actor_kind: "'system'",
    }
    for (const { name, type } of columns) {
      const value =
        other[String(name)] ??
        {
          text: "'other'",
          integer: `COALESCE(${String(name)}, 0) + 1`,
          smallint: `${String(name)} + 1`,
          'timestamp with time zone': `${String(name)} - interval '1 microsecond'`,
          bytea: 'COALESCE(' + String(name) + ", '') || '\\x00'",
        }[String(type)]
      if (value === undefined) throw new Error(`no other value for ${String(name)} ${String(type)}`)
      if (name === 'decision') continue // a check keeps it to intents; done below
      await asOwner(
        db,
        `CREATE TABLE kept AS SELECT * FROM audit_record WHERE id = '${id}'`,
        `UPDATE audit_record SET ${String(name)} = ${value} WHERE id = '${id}'`,
      )
      expect(await firstProblem(world), String(name)).toMatchObject({ kind: 'edited', position: 4, recordId: id })
      await asOwner(
        db,
        `UPDATE audit_record r SET ${String(name)} = k.${String(name)} FROM kept k WHERE r.id = k.id`,
        'DROP TABLE kept',
      )
      expect((await chain.verify(world.tenantId)).ok, String(name)).toBe(true)
    }
    const intent = await idAt(world, 3)
    await asOwner(db, `UPDATE audit_record SET decision = 'deny' WHERE id = '${intent}'`)
    expect(await firstProblem(world)).toMatchObject({ kind: 'edited', position: 3, recordId: intent })
  })

  it('edit: a record whose own link was made to fit is named, not the one after it', async () => {
    const world = await linkedTrail()
    const before = await rowsOf(world)
    await asOwner(db, `UPDATE audit_record SET tool = 'other' WHERE id = '${await idAt(world, 5)}'`)
    await computeAnew(world)
    const after = await rowsOf(world)
    // All links but the one at 5 as they were.
    await asOwner(
      db,
      ...before.flatMap((row, index) =>
        index === 4
          ? []
          : [
              `UPDATE audit_link SET previous = '\\x${(row['previous'] as Buffer).toString('hex')}', hash = '\\x${(row['hash'] as Buffer).toString('hex')}'
                WHERE tenant_id = '${world.tenantId}' AND position = ${index + 1}`, // bytea columns
            ],
      ),
    )
    expect(after[4]?.['hash']).not.toEqual(before[4]?.['hash'])
    expect(await firstProblem(world, { isBlind: true })).toMatchObject({
      kind: 'edited',
      position: 5,
      recordId: await idAt(world, 5),
    })
  })

  it('edit: a chain computed anew behind it shows by the checkpoint, which says from where on nothing is vouched for', async () => {
    const world = await createTrail(db, audit, 2)
    await chain.sequencer.run()
    await chain.checkpoints.run() // vouches for 4
    await addCalls(world, audit, 2)
    await chain.sequencer.run()
    await chain.checkpoints.run() // and for 8
    await asOwner(db, `UPDATE audit_record SET tool = 'other' WHERE id = '${await idAt(world, 6)}'`)
    await computeAnew(world)
    expect(await firstProblem(world, { isBlind: true })).toBeUndefined() // nothing inside the database shows it
    const report = await chain.verify(world.tenantId)
    expect(report).toMatchObject({ ok: false, vouchedTo: 4 })
    expect(report.problems[0]).toMatchObject({ kind: 'rewritten', position: 5 })
    expect(report.problems[0]?.detail).toContain('5 to 8')
  })

  it('delete: a record that is gone is named by its link', async () => {
    const world = await linkedTrail()
    const id = await idAt(world, 6)
    await asOwner(db, `DELETE FROM audit_record WHERE id = '${id}'`)
    expect(await firstProblem(world)).toMatchObject({ kind: 'deleted', position: 6, recordId: id })
  })

  it('delete: a record that is gone with its link is named by its position', async () => {
    const world = await linkedTrail()
    const id = await idAt(world, 6)
    await asOwner(
      db,
      `DELETE FROM audit_record WHERE id = '${id}'`,
      `DELETE FROM audit_link WHERE tenant_id = '${world.tenantId}' AND position = 6`,
    )
    expect(await firstProblem(world)).toMatchObject({ kind: 'deleted', position: 6 })
  })

  it('delete: those behind it moved up do not hide it', async () => {
    const world = await linkedTrail()
    const id = await idAt(world, 6)
    await asOwner(
      db,
      `DELETE FROM audit_record WHERE id = '${id}'`,
      `DELETE FROM audit_link WHERE tenant_id = '${world.tenantId}' AND position = 6`,
      ...[7, 8, 9, 10].map(
        (n) => `UPDATE audit_link SET position = ${n - 1} WHERE tenant_id = '${world.tenantId}' AND position = ${n}`,
      ),
      `UPDATE audit_head SET position = 9 WHERE tenant_id = '${world.tenantId}'`,
    )
    expect(await firstProblem(world)).toMatchObject({ kind: 'deleted', position: 6 })
  })

  const copyOf = (id: string, time: string, copy = newId('auditRecord')) => ({
    copy,
    sql: `INSERT INTO audit_record (tenant_id, id, kind, action, recorded_at, actor_kind, target_id)
          SELECT tenant_id, '${copy}', 'event', 'agent.updated', ${time}, 'system', 'forged' FROM audit_record WHERE id = '${id}'`,
  })

  it('insert: a record put among old ones is named, whether or not the sequencer finds it', async () => {
    const world = await linkedTrail()
    await asOwner(
      db,
      // Of two hours ago, all of it.
      `UPDATE audit_record SET recorded_at = recorded_at - interval '2 hours' WHERE tenant_id = '${world.tenantId}'`,
      `UPDATE audit_head SET recorded_to = recorded_to - interval '2 hours' WHERE tenant_id = '${world.tenantId}'`,
    )
    await computeAnew(world)
    const { copy, sql } = copyOf(await idAt(world, 3), "recorded_at - interval '10 minutes'")
    await asOwner(db, sql)
    expect(await firstProblem(world, { isBlind: true })).toMatchObject({ kind: 'inserted', recordId: copy })
    await chain.sequencer.run()
    expect(await firstProblem(world, { isBlind: true })).toMatchObject({ kind: 'inserted', recordId: copy })
  })

  it('insert: a record with a link of its own among the others is named', async () => {
    const world = await linkedTrail()
    const { copy, sql } = copyOf(await idAt(world, 3), 'recorded_at')
    await asOwner(
      db,
      sql,
      ...[10, 9, 8, 7, 6, 5, 4].map(
        (n) => `UPDATE audit_link SET position = ${n + 1} WHERE tenant_id = '${world.tenantId}' AND position = ${n}`,
      ),
      `UPDATE audit_head SET position = 11 WHERE tenant_id = '${world.tenantId}'`,
    )
    const [row] = await db.adminQuery(
      'app',
      `SELECT r.id AS record_id, (to_jsonb(r) - 'sealed')::text AS body, NULL AS sealed_digest, l.hash AS previous
         FROM audit_record r, audit_link l WHERE r.id = $1 AND l.tenant_id = r.tenant_id AND l.position = 3`,
      [copy],
    )
    const previous = row?.['previous'] as Buffer // a bytea column
    const hash = hashOf(4, previous, row as unknown as StoredRecord) // as just selected
    await asOwner(
      db,
      `INSERT INTO audit_link (tenant_id, position, record_id, previous, hash)
       VALUES ('${world.tenantId}', 4, '${copy}', '\\x${previous.toString('hex')}', '\\x${hash.toString('hex')}')`,
    )
    expect(await firstProblem(world)).toMatchObject({ kind: 'inserted', position: 4, recordId: copy })
  })

  it('reorder: two links that changed places, and two records that did, are named', async () => {
    const swapped = await linkedTrail()
    await asOwner(
      db,
      ...[
        [3, 99],
        [5, 3],
        [99, 5],
      ].map(
        ([from, to]) =>
          `UPDATE audit_link SET position = ${to} WHERE tenant_id = '${swapped.tenantId}' AND position = ${from}`,
      ),
    )
    expect(await firstProblem(swapped)).toMatchObject({ kind: 'reordered', position: 3 })

    const exchanged = await linkedTrail()
    const [third, fifth] = [await idAt(exchanged, 3), await idAt(exchanged, 5)]
    await asOwner(
      db,
      `UPDATE audit_link SET record_id = 'x' WHERE tenant_id = '${exchanged.tenantId}' AND position = 3`,
      `UPDATE audit_link SET record_id = '${third}' WHERE tenant_id = '${exchanged.tenantId}' AND position = 5`,
      `UPDATE audit_link SET record_id = '${fifth}' WHERE tenant_id = '${exchanged.tenantId}' AND position = 3`,
    )
    expect(await firstProblem(exchanged)).toMatchObject({ kind: 'reordered', position: 3, recordId: fifth })
  })

  it('tail truncation: an end that was cut off shows by the head, and with the head by the checkpoint', async () => {
    const world = await linkedTrail()
    const cutOff = [
      `DELETE FROM audit_record r USING audit_link l
        WHERE l.tenant_id = '${world.tenantId}' AND l.position > 7 AND r.tenant_id = l.tenant_id AND r.id = l.record_id`,
      `DELETE FROM audit_link WHERE tenant_id = '${world.tenantId}' AND position > 7`,
    ]
    await asOwner(db, ...cutOff)
    expect(await firstProblem(world, { isBlind: true })).toMatchObject({ kind: 'truncated', position: 8 })
    await asOwner(
      db,
      `UPDATE audit_head h SET position = 7, hash = l.hash FROM audit_link l
        WHERE h.tenant_id = '${world.tenantId}' AND l.tenant_id = h.tenant_id AND l.position = 7`,
    )
    expect(await firstProblem(world, { isBlind: true })).toBeUndefined()
    expect(await firstProblem(world)).toMatchObject({ kind: 'truncated', position: 8 })
  })

  it('back-dating: a record that claims an older time is named once the sequencer has linked it', async () => {
    const world = await linkedTrail()
    const { copy, sql } = copyOf(await idAt(world, 3), "recorded_at - interval '20 minutes'")
    await asOwner(db, sql)
    await chain.sequencer.run({ isDeep: true })
    expect(await firstProblem(world)).toMatchObject({ kind: 'back_dated', position: 11, recordId: copy })
  })

  it('back-dating: a record that claims a time to come is named', async () => {
    const world = await linkedTrail()
    const { copy, sql } = copyOf(await idAt(world, 3), "now() + interval '1 hour'")
    await asOwner(db, sql)
    await chain.sequencer.run()
    expect(await firstProblem(world)).toMatchObject({ kind: 'post_dated', position: 11, recordId: copy })
    await addCalls(world, audit, 1)
    await chain.sequencer.run()
    // It keeps nobody else from a link.
    expect(
      await db.adminQuery('app', 'SELECT position::int FROM audit_head WHERE tenant_id = $1', [world.tenantId]),
    ).toEqual([{ position: 13 }])
  })

  it('whole-tenant delete: a workspace that is gone from every table is missed by its checkpoints', async () => {
    const world = await linkedTrail()
    await asOwner(
      db,
      ...['audit_record', 'audit_link', 'audit_head'].map(
        (table) => `DELETE FROM ${table} WHERE tenant_id = '${world.tenantId}'`,
      ),
    )
    expect(await firstProblem(world)).toMatchObject({ kind: 'gone', position: 1 })
    await addCalls(world, audit, 1)
    await chain.sequencer.run()
    expect(await firstProblem(world)).toMatchObject({ kind: 'truncated', position: 3 })
    await addCalls(world, audit, 5)
    await chain.sequencer.run()
    expect(await firstProblem(world)).toMatchObject({ kind: 'rewritten', position: 1 })
  })

  it('restore of older tables: what is missing shows at once, and after the chain went on', async () => {
    const world = await createTrail(db, audit, 3)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    const tables = ['audit_record', 'audit_link', 'audit_head']
    await asOwner(
      db,
      ...tables.map(
        (table) => `CREATE TABLE old_${table} AS SELECT * FROM ${table} WHERE tenant_id = '${world.tenantId}'`,
      ),
    )
    await addCalls(world, audit, 2)
    await chain.sequencer.run()
    await chain.checkpoints.run()
    expect((await chain.verify(world.tenantId)).ok).toBe(true)
    await asOwner(
      db,
      ...tables.flatMap((table) => [
        `DELETE FROM ${table} WHERE tenant_id = '${world.tenantId}'`,
        `INSERT INTO ${table} SELECT * FROM old_${table}`,
        `DROP TABLE old_${table}`,
      ]),
    )
    expect(await firstProblem(world)).toMatchObject({ kind: 'truncated', position: 7 })
    await addCalls(world, audit, 4)
    await chain.sequencer.run()
    const report = await chain.verify(world.tenantId)
    expect(report.problems[0]).toMatchObject({ kind: 'rewritten', position: 7 })
    expect(report.vouchedTo).toBe(6)
  })

  it('a checkpoint that nobody of ours signed is not believed, and is named', async () => {
    const world = await linkedTrail()
    const [ours] = await chain.statementsOf(world.tenantId)
    if (ours === undefined) throw new Error('no checkpoint')
    const { verifyChain } = await import('./verify')
    const stranger = readChainKeys(newChainKeyFile(new Date()))
    const theirs = stranger.sign({
      kind: 'checkpoint',
      tenant: world.tenantId,
      position: 5,
      hash: 'ab'.repeat(32),
      at: ours.at,
    })
    for (const forged of [
      theirs,
      { ...theirs, key: ours.key },
      { ...ours, position: 5 },
      { ...ours, hash: theirs.hash },
    ])
      expect(await verifyChain(chain, world.tenantId, [ours, forged])).toMatchObject({
        ok: false,
        to: 10,
        problems: [{ kind: 'forged_checkpoint', position: forged.position }],
      })
  })

  it('a cut that nobody of ours signed explains nothing', async () => {
    const world = await linkedTrail()
    await asOwner(
      db,
      `INSERT INTO audit_cut (tenant_id, position, hash, cut_at, key_id, signature)
       SELECT tenant_id, position, hash, now(), '0123456789abcdef', decode(repeat('00', 64), 'hex') FROM audit_link
        WHERE tenant_id = '${world.tenantId}' AND position = 4`,
      `DELETE FROM audit_record r USING audit_link l
        WHERE l.tenant_id = '${world.tenantId}' AND l.position <= 4 AND r.tenant_id = l.tenant_id AND r.id = l.record_id`,
      `DELETE FROM audit_link WHERE tenant_id = '${world.tenantId}' AND position <= 4`,
    )
    expect(await firstProblem(world)).toMatchObject({ kind: 'deleted', position: 1 })
  })

  it('another workspace’s chain is not touched by any of this', async () => {
    const [mine, theirs] = [await linkedTrail(), await linkedTrail()]
    await asOwner(db, `UPDATE audit_record SET tool = 'other' WHERE id = '${await idAt(theirs, 2)}'`)
    expect((await chain.verify(mine.tenantId)).ok).toBe(true)
    expect((await chain.verify(theirs.tenantId)).ok).toBe(false)
  })
})
