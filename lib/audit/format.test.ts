import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { ExportedRecord } from './export-page'
import { cefOf, csvCell, headOf, lineOf, syslogFrame } from './format'

const record = (fields: Partial<ExportedRecord> = {}): ExportedRecord => ({
  format: 1,
  id: 'aud_00000000000000000000000001',
  kind: 'event',
  action: 'agent.created',
  recordedAt: '2026-11-21T10:00:00.000001Z',
  occurredAt: '2026-11-21T10:00:00.000Z',
  callId: null,
  actorKind: 'person',
  actorPseudonym: 'psn_1',
  personId: 'per_1',
  agentId: 'agt_1',
  agentSessionId: null,
  clientId: null,
  connectionId: null,
  targetId: null,
  tool: null,
  profileVersion: null,
  decision: null,
  outcome: 'success',
  reason: null,
  durationMs: null,
  argumentDigest: null,
  keyVersion: 1,
  details: { network: '203.0.113.9', session: 'ses_1', detail: { name: 'Robot' } },
  ...fields,
})
const named = (name: string) => record({ details: { detail: { name } } })

/** What any CSV reader makes of a text, by RFC 4180. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]]
  let at = 0
  while (at < text.length) {
    if (text[at] !== '"') throw new Error('a cell is not quoted')
    let cell = ''
    for (at += 1; ; at += 1) {
      if (text[at] !== '"') cell += text[at] ?? ''
      else if (text[at + 1] === '"') cell += text[(at += 1)] ?? ''
      else break
    }
    at += 1
    rows.at(-1)?.push(cell)
    if (text.startsWith('\r\n', at)) {
      rows.push([])
      at += 2
    } else at += 1
  }
  return rows.slice(0, -1)
}

describe('a cell of a CSV', () => {
  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '=HYPERLINK("http://evil")'])(
    'is never computed by a spreadsheet: %j',
    (formula) => {
      expect(csvCell(formula).slice(0, 2)).toBe(`"'`)
      expect(parseCsv(`${csvCell(formula)}\r\n`)).toEqual([[`'${formula}`]])
    },
  )

  it('holds any text within its quotes, and gives it back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const [[cell] = []] = parseCsv(`${csvCell(text)}\r\n`)
        expect(cell).toBe(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)
      }),
    )
  })

  it('stands under its head in every line', () => {
    const rows = parseCsv(headOf('csv') + lineOf('csv', record()) + lineOf('csv', named('a,"b"\r\nc')))
    expect(rows).toHaveLength(3)
    expect(new Set(rows.map((row) => row.length)).size).toBe(1)
    expect(rows[0]?.[2]).toBe('id')
    expect(rows[1]?.[2]).toBe('aud_00000000000000000000000001')
  })
})

describe('a line of CEF', () => {
  it('says what happened in the fields that have names for it', () => {
    expect(cefOf(record({ tool: 'github_create_issue', durationMs: 12, outcome: 'denied' }))).toBe(
      'CEF:0|Portcullis|Portcullis|1|agent.created|An agent was created|6|rt=1795255200000 externalId=aud_00000000000000000000000001 cat=event outcome=denied suid=per_1 sourceServiceName=person src=203.0.113.9 cs1Label=agent cs1=agt_1 cs2Label=tool cs2=github_create_issue cs5Label=session cs5=ses_1 cn1Label=durationMs cn1=12 msg={"name":"Robot"}',
    )
  })

  it('cannot be broken out of: no line break, no pipe in its head, no equals sign that begins a key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (text, action) => {
        const line = cefOf({ ...named(text), action: `a|${action}`, reason: `x cs1=${text}` })
        expect(line).not.toMatch(/[\r\n]/)
        const parts = line.split(/(?<!\\)(?:\\\\)*\|/)
        expect(parts.length).toBeGreaterThanOrEqual(8)
        // A value may hold an equals sign with a backslash before it and no other.
        expect(line).not.toMatch(/reason=x cs1=/)
      }),
    )
    expect(cefOf(record({ reason: 'a=b\\c\nd' }))).toContain(String.raw`reason=a\=b\\c\nd`)
  })
})

describe('a syslog frame', () => {
  it('is counted in octets, whatever the record holds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const frame = Buffer.from(syslogFrame(named(text), 'portcullis.example'), 'utf8')
        const space = frame.indexOf(' ')
        expect(Number(frame.subarray(0, space).toString())).toBe(frame.length - space - 1)
      }),
    )
  })

  it('has the header of RFC 5424 and the record as JSON', () => {
    const [, header, message] = /^\d+ (.*?) - (\{.*)$/s.exec(syslogFrame(named('Zoë'), 'gate.example')) ?? []
    expect(header).toBe('<109>1 2026-11-21T10:00:00.000Z gate.example portcullis - agent.created')
    expect(JSON.parse(message ?? '')).toEqual(named('Zoë'))
    expect(syslogFrame(record({ outcome: 'denied' }), 'two words')).toContain('<108>1 ')
    expect(syslogFrame(record(), 'two words')).toContain(' two_words portcullis ')
  })
})
