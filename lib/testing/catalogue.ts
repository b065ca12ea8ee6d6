/**
 * What the databases' own catalogue says about isolation and rights, compared with short explicit lists. Every
 * difference is one line of plain words.
 *
 * Rights are asked for as they take effect (`has_…_privilege`), so that one that comes by a group or by PUBLIC counts too.
 *
 * @module
 */
import type pg from 'pg'

export interface Expected {
  /** Tables with a tenant: row-level security is forced and every policy of a login role compares the tenant. */
  readonly tenantTables: readonly string[]
  /** Tables without one. Nothing else may lack a tenant. */
  readonly globalTables: readonly string[]
  /** Roles that reach rows by their tenant. */
  readonly tenantRoles: readonly string[]
  /** Of the global tables those a narrower role reads: row-level security is forced there too. */
  readonly guardedGlobalTables: readonly string[]
  /** `role: schema.table privilege` for everything but reading. */
  readonly writes: readonly string[]
  /** Columns whose name says that they hold a secret and that a role without any may read all the same. */
  readonly readableSecretColumns: readonly string[]
  /** A role that may read no secret column. */
  readonly readers: readonly string[]
  /** `role: function` */
  readonly functions: readonly string[]
  /** Functions that run as their caller. */
  readonly plainFunctions: readonly string[]
  /** `role: database` of those who may connect to the given databases. */
  readonly connects: readonly string[]
  /** Databases whose own privileges are compared. */
  readonly databases: readonly string[]
  /** `role: schema` */
  readonly schemas: readonly string[]
}

const ROLES = [
  'portcullis_app',
  'portcullis_audit_writer',
  'portcullis_owner',
  'portcullis_resolver',
  'portcullis_vault',
  'portcullis_web',
] as const
const LOGIN = ['portcullis_app', 'portcullis_vault', 'portcullis_web']
/** `member of group`, and whether its rights come without asking. */
const MEMBERSHIPS = [
  'portcullis_app of portcullis_audit_writer (set, no inherit)',
  'portcullis_owner of portcullis_resolver (set, no inherit)',
]
const SECRET = /hash|secret|password|sealed|verifier|nonce|token|dek|canary/

type Row = Record<string, unknown>

/** @returns what is not as expected; empty when everything is */
export async function catalogueProblems(client: pg.Client, expected: Expected): Promise<string[]> {
  const query = async (sql: string, values: readonly unknown[] = []): Promise<Row[]> =>
    (await client.query<Row>(sql, [...values])).rows
  const problems: string[] = []
  const compare = (what: string, actual: readonly string[], wanted: readonly string[]) => {
    for (const one of actual) if (!wanted.includes(one)) problems.push(`${what}, not expected: ${one}`)
    for (const one of wanted) if (!actual.includes(one)) problems.push(`${what}, missing: ${one}`)
  }
  const lines = async (sql: string, values: readonly unknown[] = []) =>
    (await query(sql, values)).map((row) => String(row['line']))
  const ours = `(VALUES ${ROLES.map((role) => `('${role}')`).join(', ')}) AS role (name)`

  // Roles.
  compare(
    'role',
    await lines("SELECT rolname AS line FROM pg_roles WHERE rolname LIKE 'portcullis\\_%' ORDER BY 1"),
    ROLES,
  )
  compare(
    'role with a power',
    await lines(`SELECT rolname || CASE WHEN rolsuper THEN ' superuser' ELSE '' END || CASE WHEN rolbypassrls THEN ' bypassrls' ELSE '' END
        || CASE WHEN rolcreaterole THEN ' createrole' ELSE '' END || CASE WHEN rolcreatedb THEN ' createdb' ELSE '' END
        || CASE WHEN rolreplication THEN ' replication' ELSE '' END || CASE WHEN rolinherit THEN ' inherit' ELSE '' END AS line
      FROM pg_roles WHERE rolname LIKE 'portcullis\\_%'
       AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication OR rolinherit)`),
    [],
  )
  compare(
    'role that logs in',
    await lines("SELECT rolname AS line FROM pg_roles WHERE rolname LIKE 'portcullis\\_%' AND rolcanlogin ORDER BY 1"),
    LOGIN,
  )
  compare(
    'membership',
    await lines(`SELECT m.rolname || ' of ' || g.rolname || CASE WHEN a.set_option THEN ' (set, ' ELSE ' (no set, ' END
        || CASE WHEN a.inherit_option THEN 'inherit)' ELSE 'no inherit)' END || CASE WHEN a.admin_option THEN ' admin' ELSE '' END AS line
      FROM pg_auth_members a JOIN pg_roles g ON g.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
      WHERE m.rolname LIKE 'portcullis\\_%'`),
    MEMBERSHIPS,
  )

  // Tables.
  const tables =
    await query(`SELECT c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner) AS owner,
      EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull AND NOT a.attisdropped) AS has_tenant
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname <> '_prisma_migrations'`)
  compare(
    'table',
    tables.map((table) => String(table['relname'])),
    [...expected.tenantTables, ...expected.globalTables],
  )
  for (const table of tables) {
    const name = String(table['relname'])
    if (table['relkind'] !== 'r') problems.push(`${name} is not a plain table`)
    if (table['owner'] !== 'portcullis_owner') problems.push(`${name} is owned by ${String(table['owner'])}`)
    const isGuarded = expected.tenantTables.includes(name) || expected.guardedGlobalTables.includes(name)
    if (isGuarded && table['relrowsecurity'] !== true) problems.push(`${name} has no row-level security`)
    if (isGuarded && table['relforcerowsecurity'] !== true) problems.push(`${name} does not force row-level security`)
    if (expected.tenantTables.includes(name) && name !== 'tenant' && table['has_tenant'] !== true)
      problems.push(`${name} has no tenant_id that is never null`)
  }
  const policies = await query(`SELECT tablename, policyname, permissive, cmd, roles::text[] AS roles, qual, with_check
    FROM pg_policies WHERE schemaname = 'public'`)
  for (const name of expected.tenantTables) {
    const column = name === 'tenant' ? 'id' : 'tenant_id'
    const right = `(${column} = current_tenant())`
    const own = policies.filter(
      (policy) =>
        policy['tablename'] === name &&
        (policy['roles'] as string[]).some((role) => expected.tenantRoles.includes(role) || role === 'public'), // a text[] column
    )
    const covered = new Set<string>()
    for (const policy of own) {
      if (policy['permissive'] === 'RESTRICTIVE') continue // it can only take away
      const isRight = policy['qual'] === right && policy['with_check'] === right && policy['cmd'] === 'ALL'
      if (!isRight) problems.push(`${name}: the policy ${String(policy['policyname'])} does not compare the tenant`)
      else for (const role of policy['roles'] as string[]) covered.add(role) // a text[] column
    }
    for (const role of expected.tenantRoles)
      if (!covered.has(role)) problems.push(`${name}: no policy keeps ${role} to its tenant`)
  }

  // Rights on tables; those on single columns name them.
  compare(
    'right to write',
    await lines(`SELECT role.name || ': ' || n.nspname || '.' || c.relname || ' ' || p.privilege || COALESCE(columns.names, '') AS line
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN ${ours}
      CROSS JOIN (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER'), ('MAINTAIN')) AS p (privilege)
      CROSS JOIN LATERAL (SELECT has_table_privilege(role.name, c.oid, p.privilege) AS whole) AS right_
      LEFT JOIN LATERAL (
        SELECT ' (' || string_agg(a.attname, ', ' ORDER BY a.attnum) || ')' AS names FROM pg_attribute a
         WHERE NOT right_.whole AND p.privilege IN ('INSERT', 'UPDATE', 'REFERENCES') AND a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND has_column_privilege(role.name, c.oid, a.attnum, CASE WHEN p.privilege IN ('INSERT', 'UPDATE', 'REFERENCES') THEN p.privilege ELSE 'SELECT' END)
      ) AS columns ON true
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg_temp%'
        AND role.name <> 'portcullis_owner' AND NOT (role.name = 'portcullis_app' AND n.nspname = 'bullmq')
        AND (right_.whole OR columns.names IS NOT NULL)
      ORDER BY 1`),
    expected.writes,
  )
  const readable = await query(
    `SELECT role.name AS role, c.relname || '.' || a.attname AS line
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped, unnest($1::text[]) AS role (name)
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_column_privilege(role.name, c.oid, a.attnum, 'SELECT')`,
    [expected.readers],
  )
  for (const row of readable) {
    const column = String(row['line'])
    if (SECRET.test(column.split('.')[1] ?? '') && !expected.readableSecretColumns.includes(column))
      problems.push(`${String(row['role'])} may read the secret column ${column}`)
  }

  // Functions.
  compare(
    'right to execute',
    await lines(`SELECT role.name || ': ' || p.proname AS line FROM pg_proc p, ${ours}
      WHERE p.pronamespace = 'public'::regnamespace AND role.name NOT IN ('portcullis_owner', 'portcullis_resolver')
        AND has_function_privilege(role.name, p.oid, 'EXECUTE') ORDER BY 1`),
    expected.functions,
  )
  const functions = await query(`SELECT p.proname, p.prosecdef, pg_get_userbyid(p.proowner) AS owner, p.proconfig,
      EXISTS (SELECT 1 FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) x WHERE x.grantee = 0) AS is_public
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace`)
  compare(
    'function that runs as its caller',
    functions.filter((one) => one['prosecdef'] !== true).map((one) => String(one['proname'])),
    expected.plainFunctions,
  )
  for (const one of functions) {
    const name = String(one['proname'])
    if (one['is_public'] === true) problems.push(`everybody may execute ${name}`)
    if (one['prosecdef'] !== true) continue
    if (one['owner'] !== 'portcullis_resolver') problems.push(`${name} runs as ${String(one['owner'])}`)
    const config = (one['proconfig'] as string[] | null) ?? [] // a text[] column
    // What a caller may put objects into comes last, where it cannot stand before anything.
    if (!config.includes('search_path=pg_catalog, public, pg_temp')) problems.push(`${name} has no fixed search_path`)
  }

  // Schemas and databases.
  compare(
    'right on a schema',
    await lines(`SELECT role.name || ': ' || n.nspname || ' ' || p.privilege AS line
      FROM pg_namespace n, ${ours}, (VALUES ('USAGE'), ('CREATE')) AS p (privilege)
      WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg_%'
        AND role.name <> 'portcullis_owner' AND has_schema_privilege(role.name, n.oid, p.privilege) ORDER BY 1`),
    expected.schemas,
  )
  compare(
    'right on a database',
    await lines(
      `SELECT role.name || ': ' || d.datname || ' ' || p.privilege AS line
        FROM pg_database d, ${ours}, (VALUES ('CONNECT'), ('CREATE'), ('TEMPORARY')) AS p (privilege)
        WHERE d.datname = ANY($1) AND role.name <> 'portcullis_owner' AND has_database_privilege(role.name, d.oid, p.privilege) ORDER BY 1`,
      [expected.databases],
    ),
    expected.connects,
  )
  return problems
}
