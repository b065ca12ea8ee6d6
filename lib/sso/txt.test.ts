/** The resolver against name servers of the test's own, which answer as real ones do and as hostile ones may. */
import dgram from 'node:dgram'
import type { AddressInfo } from 'node:net'
import net from 'node:net'

import { afterEach, describe, expect, it } from 'vitest'

import { createTxtLookup, type TxtLookup } from './txt'

const NAME = '_portcullis.corp.example'
const [NOERROR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED] = [0, 2, 3, 4, 5] as const
const [CNAME, TXT] = [5, 16] as const

interface Answer {
  readonly code?: number
  readonly records?: readonly Buffer[]
  /** Too long for a datagram: to be asked for again over TCP. */
  readonly isTruncated?: boolean
}

const encodeName = (name: string) =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])),
    Buffer.of(0),
  ])

function record(name: string, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(1, 2) // IN
  head.writeUInt32BE(60, 4)
  head.writeUInt16BE(data.length, 8)
  return Buffer.concat([encodeName(name), head, data])
}
const txt = (...pieces: readonly string[]) =>
  record(
    NAME,
    TXT,
    Buffer.concat(pieces.map((piece) => Buffer.concat([Buffer.of(Buffer.byteLength(piece)), Buffer.from(piece)]))),
  )

/** The end of the question in a message that has one. */
function endOfQuestion(message: Buffer): number {
  let at = 12
  while ((message[at] ?? 0) !== 0) at += (message[at] ?? 0) + 1
  return at + 5
}

/** RFC 1035 §4.1: header, the question as it came, and the records. */
function reply(query: Buffer, { code = NOERROR, records = [], isTruncated = false }: Answer): Buffer {
  const head = Buffer.alloc(12)
  query.copy(head, 0, 0, 2)
  head.writeUInt16BE(0x8180 | (isTruncated ? 0x0200 : 0) | code, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(records.length, 6)
  return Buffer.concat([head, query.subarray(12, endOfQuestion(query)), ...records])
}

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()))
})

/** A name server on loopback, over UDP and, at the same port, over TCP. */
async function nameServer(
  overUdp: (query: Buffer) => readonly Buffer[],
  overTcp?: (query: Buffer) => Buffer,
): Promise<{ readonly lookup: TxtLookup; readonly asked: { udp: number; tcp: number } }> {
  const asked = { udp: 0, tcp: 0 }
  const tcp = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      asked.tcp += 1
      const answer = overTcp?.(chunk.subarray(2))
      if (answer === undefined) return socket.destroy()
      const length = Buffer.alloc(2)
      length.writeUInt16BE(answer.length)
      return socket.write(Buffer.concat([length, answer]))
    })
  })
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  const { port } = tcp.address() as AddressInfo // listening on TCP
  const udp = dgram.createSocket('udp4')
  udp.on('message', (query, from) => {
    asked.udp += 1
    for (const one of overUdp(query)) udp.send(one, from.port, from.address)
  })
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve))
  open.push(
    () => new Promise<void>((resolve) => udp.close(resolve)),
    () => new Promise((resolve) => tcp.close(resolve)),
  )
  return { lookup: createTxtLookup({ servers: [`127.0.0.1:${port}`], timeoutMs: 250 }), asked }
}
const always = (answer: Answer) => nameServer((query) => [reply(query, answer)])
const ask = async (answer: Answer) => (await always(answer)).lookup(NAME)

describe('the TXT records of a name', () => {
  it('are all of them, in the order given, each with its pieces put together', async () => {
    expect(await ask({ records: [txt('v=spf1 -all'), txt('portcullis-domain=', 'pcd_1')] })).toEqual({
      kind: 'found',
      records: ['v=spf1 -all', 'portcullis-domain=pcd_1'],
    })
    const long = 'x'.repeat(255)
    expect(await ask({ records: [txt(long, long)] })).toEqual({ kind: 'found', records: [long + long] })
  })

  it('are found behind another name that stands for it', async () => {
    const alias = record(NAME, CNAME, encodeName('proof.elsewhere.example'))
    const behind = record('proof.elsewhere.example', TXT, Buffer.concat([Buffer.of(2), Buffer.from('ok')]))
    expect(await ask({ records: [alias, behind] })).toEqual({ kind: 'found', records: ['ok'] })
    // An alias that leads nowhere is no record.
    expect(await ask({ records: [alias] })).toEqual({ kind: 'absent' })
  })

  it('are absent when the name servers say so: no such name, or a name without them', async () => {
    expect(await ask({ code: NXDOMAIN })).toEqual({ kind: 'absent' })
    expect(await ask({})).toEqual({ kind: 'absent' })
  })

  it.each([
    ['a failure', { code: SERVFAIL }],
    ['a refusal', { code: REFUSED }],
    ['what it cannot do', { code: NOTIMP }],
    ['a record cut short', { records: [txt('portcullis-domain=pcd_1').subarray(0, -4)] }],
    ['a piece longer than its record', { records: [record(NAME, TXT, Buffer.from([200, 97]))] }],
  ] as const)('are unknown, which proves nothing, when a name server answers with %s', async (_, answer) => {
    expect(await ask(answer)).toEqual({ kind: 'unknown' })
  })

  it('are unknown when nobody answers, and the question ends', async () => {
    const { lookup, asked } = await nameServer(() => [])
    expect(await lookup(NAME)).toEqual({ kind: 'unknown' })
    expect(asked.udp).toBe(2)
  })

  it('are unknown when nobody is there', async () => {
    const { lookup } = await always({})
    await Promise.all(open.splice(0).map((close) => close()))
    expect(await lookup(NAME)).toEqual({ kind: 'unknown' })
  })

  it('are asked for over TCP when they are too many for a datagram, and no more than fifty are taken', async () => {
    const many = Array.from({ length: 900 }, (_, n) => txt(`record ${n}`))
    const { lookup, asked } = await nameServer(
      (query) => [reply(query, { isTruncated: true })],
      (query) => reply(query, { records: many }),
    )
    const found = await lookup(NAME)
    expect(found).toEqual({ kind: 'found', records: Array.from({ length: 50 }, (_, n) => `record ${n}`) })
    expect(asked).toEqual({ udp: 1, tcp: 1 })
  })

  it('are unknown when they are too many and TCP does not answer: half of them are none', async () => {
    const { lookup } = await nameServer((query) => [reply(query, { isTruncated: true, records: [txt('half')] })])
    expect(await lookup(NAME)).toEqual({ kind: 'unknown' })
  })

  it('are not taken from an answer to another question: another number, or another name', async () => {
    const forged = (query: Buffer, change: (answer: Buffer) => void) => {
      const answer = reply(query, { records: [txt('forged')] })
      change(answer)
      return answer
    }
    const renumbered = (answer: Buffer) => answer.writeUInt16BE(answer.readUInt16BE(0) ^ 1, 0)
    const renamed = (answer: Buffer) => answer.write('x', 13)
    for (const change of [renumbered, renamed]) {
      const { lookup } = await nameServer((query) => [forged(query, change), reply(query, { records: [txt('true')] })])
      expect(await lookup(NAME)).toEqual({ kind: 'found', records: ['true'] })
      const alone = await nameServer((query) => [forged(query, change)])
      expect(await alone.lookup(NAME)).toEqual({ kind: 'unknown' })
    }
  })
})
