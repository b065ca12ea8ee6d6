/**
 * One row of each tenant table for each of two tenants, alike in everything that need not differ, made from what the
 * database says of its own columns. A table that is added tomorrow is filled like the others, or says why it cannot be.
 *
 * @module
 */
import type pg from 'pg'

export interface TenantTable {
  readonly name: string
  /** `tenant_id`, or the tenant's own id. */
  readonly tenantColumn: string
}

interface Column {
  readonly name: string
  readonly type: string
  readonly is_needed: boolean
  /** Alone it names one row of all tenants. */
  readonly is_unique: boolean
}

/** What no rule below finds: `table.column`. */
const GIVEN: Readonly<Record<string, string>> = {
  'audit_record.kind': 'event',
  'sign_in_domain.domain': 'same.example',
}

/** The tables whose rows all have a tenant, and row security; the catalogue's test holds that no other is one. */
export async function tenantTables(client: pg.Client): Promise<TenantTable[]> {
  const { rows } = await client.query<{ name: string; is_own: boolean }>(
    `SELECT c.relname AS name, c.relname = 'tenant' AS is_own FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relforcerowsecurity
        AND (c.relname = 'tenant' OR EXISTS (
          SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull AND NOT a.attisdropped))
      ORDER BY c.relname`,
  )
  return rows.map(({ name, is_own }) => ({ name, tenantColumn: is_own ? 'id' : 'tenant_id' }))
}

/** @param client  an administrator's: rows are made without what they refer to */
export async function fillTenantTables(
  client: pg.Client,
  tables: readonly TenantTable[],
  tenantIds: readonly string[],
): Promise<void> {
  await client.query('SET session_replication_role = replica')
  for (const table of tables) {
    const columns = (await columnsOf(client, table.name)).filter(
      (column) => column.is_needed || `${table.name}.${column.name}` in GIVEN,
    )
    const checks = await checksOf(client, table.name)
    for (const tenantId of tenantIds) {
      const values = columns.map((column) =>
        column.name === table.tenantColumn ? tenantId : valueOf(table.name, column, checks, tenantId),
      )
      const places = values.map((_, n) => `$${n + 1}`).join(', ')
      const names = columns.map((column) => column.name).join(', ')
      try {
        await client.query(`INSERT INTO ${table.name} (${names}) VALUES (${places})`, values)
      } catch (error) {
        throw new Error(
          `A row of ${table.name} cannot be made: give its columns a value in lib/testing/tenant-rows.ts`,
          {
            cause: error,
          },
        )
      }
    }
  }
  await client.query('RESET session_replication_role')
}

async function columnsOf(client: pg.Client, table: string): Promise<Column[]> {
  const { rows } = await client.query<Column>(
    `SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type,
            a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS is_needed,
            EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indkey::text = a.attnum::text) AS is_unique
       FROM pg_attribute a WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [table],
  )
  return rows
}

async function checksOf(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ text: string }>(
    "SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c'",
    [table],
  )
  return rows.map(({ text }) => text)
}

function valueOf(
  table: string,
  { name, type, is_unique }: Column,
  checks: readonly string[],
  tenantId: string,
): unknown {
  const given = GIVEN[`${table}.${name}`]
  if (given !== undefined) return given
  const own = checks.filter((text) => text.includes(name)).join('\n')
  switch (type) {
    case 'text': {
      // The first of those it may be.
      const listed = new RegExp(`\\(${name} = ANY \\(ARRAY\\['([^']*)'`).exec(own)?.[1]
      return listed ?? (is_unique ? `x-${tenantId.slice(-10).toLowerCase()}` : 'x')
    }
    case 'bytea': {
      const length = Number(new RegExp(`length\\(${name}\\) = (\\d+)`).exec(own)?.[1] ?? 32)
      return is_unique ? Buffer.from(tenantId.padEnd(length, 'x').slice(-length)) : Buffer.alloc(length, 1)
    }
    case 'boolean':
      return false
    case 'smallint':
    case 'integer':
    case 'bigint':
      return 1
    case 'timestamp with time zone':
      return new Date()
    case 'jsonb':
      return '{}'
    case 'text[]':
      return []
    default:
      throw new Error(`A value of type ${type} for ${table}.${name}: say which in lib/testing/tenant-rows.ts`)
  }
}
