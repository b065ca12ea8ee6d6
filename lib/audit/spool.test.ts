import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'

import { toEventRecord, toOutcomeRecord } from './record'
import { createSpool, type SpoolLine } from './spool'

let root: string
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'portcullis-spool-'))
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

function spoolIn(folder: string, maxBytes = 1_000_000) {
  const alarms: string[] = []
  const spool = createSpool({ folder, maxBytes, log: createLog('test', 'silent'), onAlarm: (why) => alarms.push(why) })
  return { spool, alarms }
}

const event = (): SpoolLine => ({
  kind: 'event',
  record: toEventRecord(
    { tenantId: newId('tenant'), action: 'session.revoked', actor: { kind: 'system' } },
    null,
    systemClock,
  ),
})
const outcome = (): SpoolLine => ({
  kind: 'outcome',
  record: toOutcomeRecord(
    { tenantId: newId('tenant'), callId: newId('call'), outcome: 'success', durationMs: 3 },
    null,
    new Date(),
  ),
})

describe('the audit spool', () => {
  it('keeps what it promised, whole, for another process to read', async () => {
    const folder = path.join(root, 'spool/audit')
    const { spool } = spoolIn(folder)
    const lines = [event(), outcome(), event()]
    expect(await Promise.all(lines.map((line) => spool.append(line)))).toEqual([true, true, true])
    const { spool: other } = spoolIn(folder)
    const read: SpoolLine[] = []
    for (const name of await other.list(10)) {
      const file = await other.read(name)
      read.push(...(file?.lines ?? []))
      expect(file?.unreadable).toBe(0)
      await other.remove(name)
    }
    expect(read).toEqual(lines)
    expect(await spool.list(10)).toEqual([])
  })

  it('shares one file and one fsync among records that come while the disk is busy', async () => {
    const { spool } = spoolIn(root)
    await Promise.all(Array.from({ length: 100 }, () => spool.append(event())))
    expect((await spool.list(1_000)).length).toBeLessThanOrEqual(2)
  })

  it('is readable by its owner alone', async () => {
    const folder = path.join(root, 'spool')
    const { spool } = spoolIn(folder)
    await spool.append(event())
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(folder)) expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o600)
  })

  it('sets an alarm when it is full, and keeps its second half for what may not be refused', async () => {
    const { spool, alarms } = spoolIn(root, 4_000)
    let outcomes = 0
    while (await spool.append(outcome())) outcomes += 1
    expect(outcomes).toBeGreaterThan(0)
    expect(alarms).toEqual(['spool_full'])
    let events = 0
    while (await spool.append(event())) events += 1
    expect(events).toBeGreaterThan(0)
    expect(spool.bytes).toBeLessThanOrEqual(4_000)
    for (const name of await spool.list(100)) await spool.remove(name)
    expect(await spool.append(outcome())).toBe(true)
  })

  it('counts what an earlier process left there', async () => {
    writeFileSync(path.join(root, '000000000000001-aa.jsonl'), 'x'.repeat(900))
    const { spool, alarms } = spoolIn(root, 1_000)
    expect(await spool.append(event())).toBe(false)
    expect(alarms).toEqual(['spool_full'])
  })

  it('sets an alarm instead of throwing when the disk refuses', async () => {
    const file = path.join(root, 'a-file')
    writeFileSync(file, '')
    const { spool, alarms } = spoolIn(path.join(file, 'spool'))
    expect(await spool.append(event())).toBe(false)
    expect(alarms).toEqual(['spool_unwritable'])
  })

  it('tells records from what is not one, and never shows a file half written', async () => {
    const { spool } = spoolIn(root)
    const good = event()
    writeFileSync(path.join(root, '000000000000001-aa.jsonl'), `${JSON.stringify(good)}\n{"kind":"event","rec`)
    writeFileSync(path.join(root, '.000000000000002-bb.jsonl.tmp'), '{"kind":')
    expect(await spool.list(10)).toEqual(['000000000000001-aa.jsonl'])
    expect(await spool.read('000000000000001-aa.jsonl')).toEqual({
      name: '000000000000001-aa.jsonl',
      lines: [good],
      unreadable: 1,
    })
    await spool.setAside('000000000000001-aa.jsonl')
    expect(await spool.list(10)).toEqual([])
    expect(readFileSync(path.join(root, '000000000000001-aa.jsonl.unreadable'), 'utf8')).toContain('"rec')
  })

  it('clears away what a process that died while writing left behind, once it is old', async () => {
    const { spool } = spoolIn(root)
    const fresh = path.join(root, '.000000000000003-cc.jsonl.tmp')
    const old = path.join(root, '.000000000000002-bb.jsonl.tmp')
    writeFileSync(fresh, 'x')
    writeFileSync(old, 'x')
    utimesSync(old, new Date(0), new Date(0))
    await spool.list(10)
    expect(readdirSync(root)).toEqual([path.basename(fresh)])
  })

  it('takes a file that another process drained first for drained', async () => {
    const { spool } = spoolIn(root)
    expect(await spool.read('000000000000001-aa.jsonl')).toBeNull()
    await spool.remove('000000000000001-aa.jsonl')
  })
})
