/**
 * A record as text for other programs: JSON Lines, CSV, CEF and syslog. Nothing a record holds can break out of its line,
 * its cell or its field, and no cell is a formula.
 *
 * | format | rules                                                                                               |
 * | ------ | --------------------------------------------------------------------------------------------------- |
 * | jsonl  | one JSON object a line                                                                              |
 * | csv    | RFC 4180, every cell quoted; one that a spreadsheet would compute begins with an apostrophe (OWASP) |
 * | cef    | ArcSight Common Event Format, version 0                                                             |
 * | syslog | RFC 5424 with octet counting (RFC 6587 §3.4.1), the record as JSON in US-ASCII                      |
 *
 * @module
 */
import { isIPv4 } from 'node:net'

import { titleOf } from './actions'
import type { ExportedRecord } from './export-page'

export const EXPORT_FORMATS = ['jsonl', 'csv', 'cef'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

export const FORMAT_FACTS = {
  jsonl: { contentType: 'application/jsonl; charset=utf-8', extension: 'jsonl' },
  csv: { contentType: 'text/csv; charset=utf-8', extension: 'csv' },
  cef: { contentType: 'text/plain; charset=utf-8', extension: 'cef.log' },
} as const satisfies Record<ExportFormat, { readonly contentType: string; readonly extension: string }>

/** What stands before the first record; each line ends with its own line break. */
export function headOf(format: ExportFormat): string {
  return format === 'csv' ? csvLine(COLUMNS.map(([name]) => name)) : ''
}

/** One record as one line, its line break included. */
export function lineOf(format: ExportFormat, record: ExportedRecord): string {
  switch (format) {
    case 'jsonl':
      return `${JSON.stringify(record)}\n`
    case 'csv':
      return csvLine(COLUMNS.map(([, read]) => read(record)))
    case 'cef':
      return `${cefOf(record)}\n`
  }
}

type Cell = string | number | null | undefined

const detailsOf = ({ details }: ExportedRecord) => (details === null || details === 'unreadable' ? undefined : details)

const COLUMNS: readonly (readonly [string, (record: ExportedRecord) => Cell])[] = [
  ['recorded_at', (record) => record.recordedAt],
  ['occurred_at', (record) => record.occurredAt],
  ['id', (record) => record.id],
  ['kind', (record) => record.kind],
  ['action', (record) => record.action],
  ['title', (record) => titleOf(record.action)],
  ['call_id', (record) => record.callId],
  ['actor_kind', (record) => record.actorKind],
  ['actor_pseudonym', (record) => record.actorPseudonym],
  ['person_id', (record) => record.personId],
  ['agent_id', (record) => record.agentId],
  ['agent_session_id', (record) => record.agentSessionId],
  ['client_id', (record) => record.clientId],
  ['connection_id', (record) => record.connectionId],
  ['target_id', (record) => record.targetId],
  ['tool', (record) => record.tool],
  ['profile_version', (record) => record.profileVersion],
  ['decision', (record) => record.decision],
  ['outcome', (record) => record.outcome],
  ['reason', (record) => record.reason],
  ['duration_ms', (record) => record.durationMs],
  ['argument_digest', (record) => record.argumentDigest],
  ['network', (record) => detailsOf(record)?.network],
  ['session', (record) => detailsOf(record)?.session],
  ['details', (record) => detailText(record)],
]

function detailText(record: ExportedRecord): string | undefined {
  if (record.details === 'unreadable') return 'unreadable'
  const details = detailsOf(record)
  if (details?.detail === undefined && details?.reason === undefined) return undefined
  return JSON.stringify({ ...(details.reason === undefined ? {} : { reason: details.reason }), ...details.detail })
}

const csvLine = (cells: readonly Cell[]) => `${cells.map(csvCell).join(',')}\r\n`

/** @see RFC 4180 §2, OWASP "CSV Injection" */
export function csvCell(value: Cell): string {
  const text = value === null || value === undefined ? '' : String(value)
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return `"${inert.replaceAll('"', '""')}"`
}

/** A header field: a pipe would begin the next one, a line break the next record. */
const cefHeader = (value: string) => value.replace(/[\\|]/g, '\\$&').replace(/[\r\n]+/g, ' ')
/** A value: an equals sign would begin the next key. */
const cefValue = (value: string) =>
  value.replace(/[\\=]/g, '\\$&').replaceAll('\r\n', '\\n').replaceAll('\n', '\\n').replaceAll('\r', '\\r')

/** From 0 to 10. */
function severityOf({ outcome, decision }: ExportedRecord): number {
  if (outcome === 'denied' || decision === 'deny') return 6
  if (outcome === 'error' || outcome === 'unknown') return 5
  return 3
}

export function cefOf(record: ExportedRecord): string {
  const details = detailsOf(record)
  const network = details?.network
  const fields: readonly (readonly [string, Cell])[] = [
    ['rt', Date.parse(record.occurredAt)],
    ['externalId', record.id],
    ['cat', record.kind],
    ['act', record.decision],
    ['outcome', record.outcome],
    ['reason', record.reason],
    ['suid', record.personId ?? record.actorPseudonym],
    ['sourceServiceName', record.actorKind],
    ['requestClientApplication', record.clientId],
    [network !== undefined && isIPv4(network) ? 'src' : 'shost', network],
    ...labelled([
      ['agent', record.agentId],
      ['tool', record.tool],
      ['connection', record.connectionId],
      ['call', record.callId],
      ['session', record.agentSessionId ?? details?.session],
      ['target', record.targetId],
    ]),
    ['cn1Label', record.durationMs === null ? null : 'durationMs'],
    ['cn1', record.durationMs],
    ['msg', detailText(record)],
  ]
  const extension = fields
    .flatMap(([key, value]) =>
      value === null || value === undefined || value === '' ? [] : [`${key}=${cefValue(String(value))}`],
    )
    .join(' ')
  const head = ['CEF:0', 'Portcullis', 'Portcullis', String(record.format), record.action, titleOf(record.action)]
  return `${head.map((part, index) => (index === 0 ? part : cefHeader(part))).join('|')}|${severityOf(record)}|${extension}`
}

/** CEF has six texts for what it has no name for. */
const labelled = (values: readonly (readonly [string, Cell])[]): (readonly [string, Cell])[] =>
  values.flatMap(([label, value], index) =>
    value === null || value === undefined
      ? []
      : [[`cs${index + 1}Label`, label] as const, [`cs${index + 1}`, value] as const],
  )

/** 13, log audit. @see RFC 5424 §6.2.1 */
const FACILITY = 13

/**
 * One record as one counted frame.
 *
 * @param hostname  of this installation, as RFC 5424 §6.2.4 has it
 * @see RFC 5424 §6, RFC 6587 §3.4.1
 */
export function syslogFrame(record: ExportedRecord, hostname: string): string {
  const severity = severityOf(record) > 5 ? 4 : severityOf(record) === 5 ? 3 : 5
  const header = [
    `<${FACILITY * 8 + severity}>1`,
    new Date(record.occurredAt).toISOString(),
    printable(hostname, 255),
    'portcullis',
    '-',
    printable(record.action, 32),
    '-',
  ].join(' ')
  // In US-ASCII the message needs no byte order mark, and octets are characters.
  const message = JSON.stringify(record).replace(
    /[\u007f-\uffff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const text = `${header} ${message}`
  return `${text.length} ${text}`
}

const printable = (text: string, most: number) => text.replace(/[^\x21-\x7e]/g, '_').slice(0, most) || '-'
