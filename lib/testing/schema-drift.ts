/**
 * Compares what Prisma believes (schema.prisma) with what the migrations made: tables, columns, types, whether a value
 * may be missing, whether there is a default, and primary keys.
 *
 * @module
 */
import type pg from 'pg'

interface Column {
  readonly type: string
  readonly isNullable: boolean
  readonly hasDefault: boolean
}

interface Table {
  readonly columns: Map<string, Column>
  readonly key: readonly string[]
}

const TYPES: Readonly<Record<string, string>> = {
  String: 'text',
  Int: 'integer',
  BigInt: 'bigint',
  Boolean: 'boolean',
  Bytes: 'bytea',
  Json: 'jsonb',
}

/** @returns each difference in words; empty when there is none */
export async function schemaDrift(client: pg.Client, schemaText: string): Promise<string[]> {
  const believed = parseSchema(schemaText)
  const actual = await readTables(client)
  const drift: string[] = []
  for (const [name, table] of believed) {
    const real = actual.get(name)
    if (real === undefined) {
      drift.push(`${name} is not in the database`)
      continue
    }
    if (table.key.join() !== real.key.join())
      drift.push(`${name}: the key is (${real.key.join(', ')}), not (${table.key.join(', ')})`)
    for (const [column, is] of table.columns) {
      const was = real.columns.get(column)
      if (was === undefined) drift.push(`${name}.${column} is not in the database`)
      else if (JSON.stringify(is) !== JSON.stringify(was))
        drift.push(`${name}.${column} is ${describe(was)}, not ${describe(is)}`)
    }
    for (const column of real.columns.keys())
      if (!table.columns.has(column)) drift.push(`${name}.${column} is not in schema.prisma`)
  }
  for (const name of actual.keys()) if (!believed.has(name)) drift.push(`${name} is not in schema.prisma`)
  return drift
}

const describe = ({ type, isNullable, hasDefault }: Column) =>
  `${type}${isNullable ? ', may be null' : ''}${hasDefault ? ', has a default' : ''}`

export function parseSchema(text: string): Map<string, Table> {
  const tables = new Map<string, Table>()
  for (const [, body = ''] of text.matchAll(/^model \w+ \{\n([\s\S]*?)^\}/gm)) {
    const name = /@@map\("(\w+)"\)/.exec(body)?.[1]
    if (name === undefined) throw new Error('a model has no @@map')
    const columns = new Map<string, Column>()
    const columnOf = new Map<string, string>()
    let key: string[] = []
    for (const line of body.split('\n')) {
      const field = /^\s+(\w+)\s+(\w+)(\[\])?(\?)?(.*)$/.exec(line)
      if (field === null) continue
      const [, property = '', type = '', list, optional, rest = ''] = field
      const column = /@map\("(\w+)"\)/.exec(rest)?.[1] ?? property
      columnOf.set(property, column)
      columns.set(column, {
        type: (list === undefined ? '' : '_') + sqlType(type, rest),
        isNullable: optional !== undefined,
        hasDefault: rest.includes('@default('),
      })
      if (/@id\b/.test(rest)) key = [column]
    }
    const composed = /@@id\(\[([^\]]+)\]\)/.exec(body)?.[1]
    if (composed !== undefined) key = composed.split(',').map((property) => columnOf.get(property.trim()) ?? '?')
    tables.set(name, { columns, key })
  }
  return tables
}

function sqlType(type: string, rest: string): string {
  const [, native, size = ''] = /@db\.(\w+)(?:\((\d+)\))?/.exec(rest) ?? []
  switch (native) {
    case undefined:
      break
    case 'Timestamptz':
      return 'timestamp with time zone'
    case 'SmallInt':
      return 'smallint'
    case 'VarChar':
      return `character varying(${size})`
    default:
      throw new Error(`the drift test does not know @db.${native}`)
  }
  const known = TYPES[type]
  if (known === undefined) throw new Error(`the drift test does not know the type ${type}`)
  return known
}

async function readTables(client: pg.Client): Promise<Map<string, Table>> {
  const { rows } = await client.query<{
    table: string
    column: string
    type: string
    nullable: boolean
    has_default: boolean
  }>(`SELECT c.relname AS table, a.attname AS column, NOT a.attnotnull AS nullable, a.atthasdef AS has_default,
             CASE WHEN t.typcategory = 'A' THEN '_' || format_type(t.typelem, NULL) ELSE format_type(a.atttypid, a.atttypmod) END AS type
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type t ON t.oid = a.atttypid
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> '_prisma_migrations' ORDER BY c.relname, a.attnum`)
  const keys = await client.query<{ table: string; key: string[] }>(
    `SELECT i.indrelid::regclass::text AS table, array_agg(a.attname::text ORDER BY k.n) AS key
       FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
      WHERE i.indisprimary GROUP BY i.indrelid`,
  )
  const keyOf = new Map(keys.rows.map((row) => [row.table.replace(/^public\./, ''), row.key]))
  const tables = new Map<string, Table>()
  for (const row of rows) {
    const table = tables.get(row.table) ?? { columns: new Map<string, Column>(), key: keyOf.get(row.table) ?? [] }
    tables.set(row.table, table)
    table.columns.set(row.column, { type: row.type, isNullable: row.nullable, hasDefault: row.has_default })
  }
  return tables
}
