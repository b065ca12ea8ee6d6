import { readFileSync } from 'node:fs'

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { catalogueProblems, type Expected } from '@/lib/testing/catalogue'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { schemaDrift } from '@/lib/testing/schema-drift'

/** The migrated originals, made as an installation makes its own; their rights on databases are the ones compared. */
const DATABASES = ['template_app', 'template_vault']
const CONNECTS = [
  'portcullis_app: template_app CONNECT',
  'portcullis_vault: template_vault CONNECT',
  'portcullis_web: template_app CONNECT',
]

const all = (role: string, tables: readonly string[]) =>
  tables.flatMap((table) => ['DELETE', 'INSERT', 'UPDATE'].map((right) => `${role}: public.${table} ${right}`))
const each = (role: string, names: readonly string[]) => names.map((name) => `${role}: ${name}`)

const GLOBAL_TABLES = [
  'email_token',
  'gateway_instance',
  'mail',
  'oauth_artifact',
  'oauth_client',
  'passkey_challenge',
  'person',
  'person_identity',
  'person_passkey',
  'person_password',
  'person_recovery_code',
  'person_totp',
  'provider_app_status',
  'rate_limit',
  'setup_link',
  'sign_in_attempt',
  'ui_preference',
  'web_session',
]
const TENANT_TABLES = [
  'agent',
  'agent_session',
  'api_key',
  'audit_arguments',
  'audit_checkpoint',
  'audit_cut',
  'audit_erasure',
  'audit_export',
  'audit_head',
  'audit_identity',
  'audit_link',
  'audit_outbox',
  'audit_record',
  'audit_stream',
  'audit_verification',
  'connect_attempt',
  'connection',
  'connection_episode',
  'doctor_step',
  'invitation',
  'membership',
  'notification',
  'profile_version',
  'refresh_event',
  'sign_in_config',
  'sign_in_domain',
  'tenant',
  'webhook',
  'webhook_delivery',
  'webhook_event',
]

/** Written in their own ways, listed below; nobody changes what is there. */
const APPEND_ONLY = ['audit_checkpoint', 'audit_cut', 'audit_erasure', 'audit_head', 'audit_link', 'audit_record']

const APP: Expected = {
  tenantTables: TENANT_TABLES,
  globalTables: GLOBAL_TABLES,
  guardedGlobalTables: [
    'person',
    'person_identity',
    'person_passkey',
    'person_password',
    'person_recovery_code',
    'person_totp',
    'ui_preference',
    'web_session',
  ],
  tenantRoles: ['portcullis_app', 'portcullis_web'],
  writes: [
    ...all('portcullis_app', [...GLOBAL_TABLES, ...TENANT_TABLES.filter((table) => !APPEND_ONLY.includes(table))]),
    'portcullis_app: public.audit_checkpoint INSERT',
    'portcullis_app: public.audit_checkpoint UPDATE',
    'portcullis_app: public.audit_cut INSERT',
    'portcullis_app: public.audit_head INSERT',
    'portcullis_app: public.audit_head UPDATE',
    'portcullis_app: public.audit_link INSERT',
    'portcullis_app: public.audit_record INSERT',
    // To lock the rows that forbid a call; their policies let no changed row through.
    'portcullis_resolver: public.agent UPDATE (last_used_at)',
    'portcullis_resolver: public.agent_session UPDATE (last_used_at)',
    'portcullis_resolver: public.connection UPDATE (last_used_at)',
    'portcullis_resolver: public.tenant UPDATE (name)',
    // The trail, and the ticket.
    'portcullis_resolver: public.audit_arguments INSERT',
    'portcullis_resolver: public.audit_record INSERT',
    // What a workspace keeps no longer, and free fields of people who were erased; policies keep it to that.
    'portcullis_resolver: public.audit_erasure DELETE',
    'portcullis_resolver: public.audit_erasure INSERT',
    'portcullis_resolver: public.audit_link DELETE',
    'portcullis_resolver: public.audit_record DELETE',
    'portcullis_resolver: public.audit_record UPDATE (sealed)',
    'portcullis_resolver: public.web_session UPDATE (status, activated_at, last_used_at)',
    // How a person likes the pages to look: all that the pages may write.
    'portcullis_web: public.ui_preference INSERT',
    'portcullis_web: public.ui_preference UPDATE',
  ],
  readers: ['portcullis_web', 'portcullis_audit_writer', 'portcullis_vault'],
  // The last characters of a session key, what no key of the pages opens, whether there is a refresh token, and its kind.
  readableSecretColumns: [
    'agent_session.secret_hint',
    'audit_record.sealed',
    'connection.refresh_token_present',
    'connection.token_variant',
  ],
  functions: [
    ...each('portcullis_app', [
      'add_refresh_event',
      'agent_session_by_access_token',
      'agent_session_by_hash',
      'agent_session_tenants_of',
      'agent_tenant_of_member',
      'api_key_by_hash',
      'audit_backlog',
      'audit_chain_tenants',
      'audit_checkpoint_ages',
      'audit_delete_cut',
      'audit_erase_fields',
      'audit_retention_tenants',
      'audit_unlinked_tenants',
      'audit_untold_tenants',
      'connect_attempt_by_hash',
      'connection_floor',
      'connections_by_subject',
      'current_person',
      'current_tenant',
      'doctor_agents',
      'doctor_agents_of_networks',
      'due_audit_exports',
      'due_audit_streams',
      'due_audit_verifications',
      'due_notification_mails',
      'due_sign_in_domains',
      'due_webhook_batches',
      'due_webhook_deliveries',
      'ended_calls',
      'enter_tenant',
      'expired_argument_tenants',
      'expired_attempt_tenants',
      'expired_audit_exports',
      'expired_doctor_tenants',
      'expired_notification_tenants',
      'expired_refresh_event_tenants',
      'find_oauth_artifacts',
      'has_second_factor',
      'invitation_by_hash',
      'keep_oauth_tokens',
      'memberships_of',
      'oauth_lifetimes',
      'outbox_tenants',
      'restorable_tenants_of',
      'rotate_oauth_tokens',
      'session_by_hash',
      'session_workspaces',
      'show_credential',
      'sign_in_tenant_of_domain',
      'sign_in_tenant_of_slug',
      'tenant_ids',
      'tenants_to_purge',
      'tenants_with_connection_news',
      'unfinished_calls',
      'unfinished_connection_tests',
      'watched_agents',
    ]),
    ...each('portcullis_audit_writer', ['audit_intents', 'audit_outcomes']),
    ...each('portcullis_web', [
      'current_person',
      'current_tenant',
      'memberships_of',
      'redeem_ticket',
      'session_workspaces',
      'restorable_tenants_of',
      'session_by_hash',
    ]),
  ],
  plainFunctions: [
    'add_refresh_event',
    'connection_floor',
    'current_person',
    'current_tenant',
    'enter_tenant',
    'keep_oauth_tokens',
    'rotate_oauth_tokens',
    'show_credential',
  ],
  schemas: [
    'portcullis_app: bullmq CREATE',
    'portcullis_app: bullmq USAGE',
    'portcullis_app: public USAGE',
    'portcullis_audit_writer: public USAGE',
    'portcullis_resolver: public USAGE',
    'portcullis_web: public USAGE',
  ],
  databases: DATABASES,
  connects: CONNECTS,
}

const VAULT: Expected = {
  tenantTables: ['audit_outbox', 'credential', 'key_fence', 'revocation'],
  globalTables: ['key_canary', 'key_rotation', 'provider_app', 'provider_app_rejection', 'refresh_claim'],
  guardedGlobalTables: [],
  tenantRoles: ['portcullis_vault'],
  writes: [
    ...all('portcullis_vault', [
      'audit_outbox',
      'credential',
      'key_canary',
      'key_fence',
      'key_rotation',
      'provider_app',
      'provider_app_rejection',
      'refresh_claim',
      'revocation',
    ]),
    // Workers take due refreshes through a function that sees all tenants.
    'portcullis_resolver: public.refresh_claim DELETE',
    'portcullis_resolver: public.refresh_claim INSERT',
  ],
  readers: ['portcullis_web', 'portcullis_app', 'portcullis_audit_writer'],
  readableSecretColumns: [],
  functions: each('portcullis_vault', [
    'abandoned_attempts',
    'app_rejections',
    'claim_credential',
    'claim_due',
    'credential_ids',
    'credential_of',
    'current_tenant',
    'due_apps',
    'due_refreshes',
    'due_revocations',
    'due_shreds',
    'enter_tenant',
    'has_credentials',
    'idle_ending',
    'key_references',
    'locked_credential',
    'outbox_tenants',
    'put_first_canary',
    'renew_lease',
    'store_tokens',
    'unshown_states',
  ]),
  plainFunctions: [
    'claim_credential',
    'credential_of',
    'current_tenant',
    'enter_tenant',
    'guard_credential_state',
    'locked_credential',
    'put_first_canary',
    'refuse_retired_key',
    'renew_lease',
    'store_tokens',
  ],
  schemas: ['portcullis_resolver: public USAGE', 'portcullis_vault: public USAGE'],
  databases: DATABASES,
  connects: CONNECTS,
}

describe('the catalogue of the databases', () => {
  let db: TestDatabases
  const clients: Partial<Record<'app' | 'vault', pg.Client>> = {}
  beforeAll(async () => {
    db = await createTestDatabases()
    for (const name of ['app', 'vault'] as const) {
      const client = new pg.Client({ connectionString: db.admin[name] })
      await client.connect()
      clients[name] = client
    }
  })
  afterAll(async () => {
    await Promise.all(Object.values(clients).map((client) => client.end()))
    await db.close()
  })
  const clientOf = (name: 'app' | 'vault') => clients[name]!
  const schemaOf = (name: 'app' | 'vault') => readFileSync(`prisma/${name}/schema.prisma`, 'utf8')

  it.each([
    ['app', APP],
    ['vault', VAULT],
  ] as const)(
    'isolates tenants and gives each role its short list of rights and no more: %s',
    async (name, expected) => {
      expect(await catalogueProblems(clientOf(name), expected)).toEqual([])
    },
  )

  it.each(['app', 'vault'] as const)('holds what schema.prisma says, and nothing else: %s', async (name) => {
    expect(await schemaDrift(clientOf(name), schemaOf(name))).toEqual([])
  })

  it('lets the role of the pages into the application database and not into the vault', async () => {
    const own = new pg.Client({ connectionString: db.urls.web })
    await own.connect()
    await own.end()
    const vault = new URL(db.urls.web)
    vault.pathname = new URL(db.urls.vault).pathname
    const foreign = new pg.Client({ connectionString: vault.href })
    await expect(foreign.connect()).rejects.toMatchObject({ code: '42501' })
  })

  it.each([
    [
      'a role that goes around row security',
      'app',
      'ALTER ROLE portcullis_app BYPASSRLS',
      'role with a power, not expected: portcullis_app bypassrls',
    ],
    [
      'a superuser',
      'app',
      'ALTER ROLE portcullis_vault SUPERUSER',
      'role with a power, not expected: portcullis_vault superuser',
    ],
    [
      'a resolver that logs in',
      'app',
      'ALTER ROLE portcullis_resolver LOGIN',
      'role that logs in, not expected: portcullis_resolver',
    ],
    [
      'a writer whose rights come by themselves',
      'app',
      'GRANT portcullis_audit_writer TO portcullis_app WITH INHERIT TRUE',
      'membership, not expected: portcullis_app of portcullis_audit_writer (set, inherit)',
    ],
    [
      'pages that may become the application',
      'app',
      'GRANT portcullis_app TO portcullis_web',
      'membership, not expected: portcullis_web of portcullis_app',
    ],
    ['a role nobody knows', 'app', 'CREATE ROLE portcullis_backdoor LOGIN', 'role, not expected: portcullis_backdoor'],

    ['a table nobody listed', 'app', 'CREATE TABLE note (id text)', 'table, not expected: note'],
    [
      'a view, which looks through row security',
      'app',
      'CREATE VIEW peek AS SELECT * FROM agent',
      'table, not expected: peek',
    ],
    [
      'a table without row security',
      'app',
      'ALTER TABLE agent DISABLE ROW LEVEL SECURITY',
      'agent has no row-level security',
    ],
    [
      'a table whose owner sees everything',
      'app',
      'ALTER TABLE agent NO FORCE ROW LEVEL SECURITY',
      'agent does not force row-level security',
    ],
    [
      'people shown to everybody',
      'app',
      'ALTER TABLE person NO FORCE ROW LEVEL SECURITY',
      'person does not force row-level security',
    ],
    [
      'a policy that is gone',
      'app',
      'DROP POLICY tenant_isolation ON connection',
      'connection: no policy keeps portcullis_web to its tenant',
    ],
    [
      'a policy that lets everything through',
      'app',
      'CREATE POLICY open ON connection TO portcullis_web USING (true)',
      'connection: the policy open does not compare the tenant',
    ],
    [
      'a policy for everybody',
      'app',
      'CREATE POLICY open ON agent USING (true)',
      'agent: the policy open does not compare the tenant',
    ],
    [
      'a policy that checks reading alone',
      'app',
      'ALTER POLICY tenant_isolation ON agent WITH CHECK (true)',
      'agent: the policy tenant_isolation does not compare the tenant',
    ],
    [
      'a tenant that may be missing',
      'app',
      'ALTER TABLE audit_outbox DROP CONSTRAINT audit_outbox_pkey; ALTER TABLE audit_outbox ALTER tenant_id DROP NOT NULL',
      'audit_outbox has no tenant_id that is never null',
    ],
    [
      'a table owned by who uses it',
      'app',
      'ALTER TABLE agent OWNER TO portcullis_app',
      'agent is owned by portcullis_app',
    ],

    [
      'pages that write',
      'app',
      'GRANT INSERT ON web_session TO portcullis_web',
      'right to write, not expected: portcullis_web: public.web_session INSERT',
    ],
    [
      'pages that write one column',
      'app',
      'GRANT UPDATE (role) ON membership TO portcullis_web',
      'right to write, not expected: portcullis_web: public.membership UPDATE (role)',
    ],
    [
      'everybody writing',
      'app',
      'GRANT INSERT ON agent TO PUBLIC',
      'right to write, not expected: portcullis_web: public.agent INSERT',
    ],
    [
      'records that may be changed',
      'app',
      'GRANT UPDATE ON audit_record TO portcullis_app',
      'right to write, not expected: portcullis_app: public.audit_record UPDATE',
    ],
    [
      'records that may be deleted',
      'app',
      'GRANT DELETE ON audit_record TO portcullis_app',
      'right to write, not expected: portcullis_app: public.audit_record DELETE',
    ],
    [
      'records that may be emptied',
      'app',
      'GRANT TRUNCATE ON audit_record TO portcullis_app',
      'right to write, not expected: portcullis_app: public.audit_record TRUNCATE',
    ],
    [
      'a writer of records that writes tables',
      'app',
      'GRANT INSERT ON audit_record TO portcullis_audit_writer',
      'right to write, not expected: portcullis_audit_writer: public.audit_record INSERT',
    ],
    [
      'a resolver that changes sessions',
      'app',
      'GRANT UPDATE (ended_at) ON agent_session TO portcullis_resolver',
      'right to write, not expected: portcullis_resolver: public.agent_session UPDATE (last_used_at, ended_at)',
    ],
    [
      'passwords shown to the pages',
      'app',
      'GRANT SELECT ON person_password TO portcullis_web',
      'portcullis_web may read the secret column person_password.hash',
    ],
    [
      'session hashes shown to the pages',
      'app',
      'GRANT SELECT (secret_hash) ON web_session TO portcullis_web',
      'portcullis_web may read the secret column web_session.secret_hash',
    ],
    [
      'a new secret in a table the pages read',
      'app',
      'ALTER TABLE connection ADD webhook_secret text',
      'portcullis_web may read the secret column connection.webhook_secret',
    ],

    [
      'a function nobody listed',
      'app',
      'CREATE FUNCTION peek() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$',
      'everybody may execute peek',
    ],
    [
      'a function for one role too many',
      'app',
      'GRANT EXECUTE ON FUNCTION api_key_by_hash(bytea) TO portcullis_web',
      'right to execute, not expected: portcullis_web: api_key_by_hash',
    ],
    [
      'records written by the application itself',
      'app',
      'GRANT EXECUTE ON FUNCTION audit_intents(jsonb) TO portcullis_app',
      'right to execute, not expected: portcullis_app: audit_intents',
    ],
    [
      'a function that runs as the owner',
      'app',
      'ALTER FUNCTION redeem_ticket(bytea, bytea) OWNER TO portcullis_owner',
      'redeem_ticket runs as portcullis_owner',
    ],
    [
      'a function that finds what its caller puts in the way',
      'app',
      'ALTER FUNCTION session_by_hash(bytea) RESET search_path',
      'session_by_hash has no fixed search_path',
    ],
    [
      'a search path that begins with the caller’s own',
      'app',
      'ALTER FUNCTION session_by_hash(bytea) SET search_path = pg_temp, public',
      'session_by_hash has no fixed search_path',
    ],

    [
      'pages that look into the queue',
      'app',
      'GRANT USAGE ON SCHEMA bullmq TO portcullis_web',
      'right on a schema, not expected: portcullis_web: bullmq USAGE',
    ],
    [
      'pages that make objects',
      'app',
      'GRANT CREATE ON SCHEMA public TO portcullis_web',
      'right on a schema, not expected: portcullis_web: public CREATE',
    ],
    [
      'pages let into the vault',
      'app',
      'GRANT CONNECT ON DATABASE template_vault TO portcullis_web',
      'right on a database, not expected: portcullis_web: template_vault CONNECT',
    ],
    [
      'everybody let into the vault',
      'vault',
      'GRANT CONNECT ON DATABASE template_vault TO PUBLIC',
      'right on a database, not expected: portcullis_app: template_vault CONNECT',
    ],
    [
      'the application let into the tables of the vault',
      'vault',
      'GRANT SELECT ON credential TO portcullis_app',
      'portcullis_app may read the secret column credential.dek_wrapped',
    ],
    [
      'credentials without row security',
      'vault',
      'ALTER TABLE credential NO FORCE ROW LEVEL SECURITY',
      'credential does not force row-level security',
    ],
    [
      'credentials of every tenant',
      'vault',
      'ALTER POLICY tenant_isolation ON credential USING (true)',
      'credential: the policy tenant_isolation does not compare the tenant',
    ],
  ] as const)('notices %s', async (_, name, sql, problem) => {
    const client = clientOf(name)
    await client.query('BEGIN')
    try {
      await client.query(sql)
      const problems = await catalogueProblems(client, name === 'app' ? APP : VAULT)
      expect(problems.some((one) => one.startsWith(problem))).toBe(true)
    } finally {
      await client.query('ROLLBACK')
    }
  })

  it.each([
    ['a column nobody described', 'ALTER TABLE agent ADD colour text', 'agent.colour is not in schema.prisma'],
    ['a column that is gone', 'ALTER TABLE agent DROP description', 'agent.description is not in the database'],
    [
      'a value that may be missing',
      'ALTER TABLE agent ALTER name DROP NOT NULL',
      'agent.name is text, may be null, not text',
    ],
    [
      'a value that may not',
      'ALTER TABLE agent ALTER disabled_at SET NOT NULL',
      'agent.disabled_at is timestamp with time zone, not timestamp with time zone, may be null',
    ],
    [
      'another type',
      'ALTER TABLE rate_limit ALTER points TYPE bigint',
      'rate_limit.points is bigint, has a default, not integer, has a default',
    ],
    [
      'a default that is gone',
      'ALTER TABLE agent ALTER created_at DROP DEFAULT',
      'agent.created_at is timestamp with time zone, not timestamp with time zone, has a default',
    ],
    ['another key', 'ALTER TABLE mail DROP CONSTRAINT mail_pkey', 'mail: the key is (), not (id)'],
    ['a table nobody described', 'CREATE TABLE note (id text)', 'note is not in schema.prisma'],
    ['a table that is gone', 'DROP TABLE mail', 'mail is not in the database'],
  ])('notices a difference from schema.prisma: %s', async (_, sql, drift) => {
    const client = clientOf('app')
    await client.query('BEGIN')
    try {
      await client.query(sql)
      expect(await schemaDrift(client, schemaOf('app'))).toContain(drift)
    } finally {
      await client.query('ROLLBACK')
    }
  })
})
