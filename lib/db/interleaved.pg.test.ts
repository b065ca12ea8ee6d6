/** Two tenants who take turns on two connections, thousands of times, with rows that are alike: nothing crosses. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createExports } from '@/lib/audit/exports'
import { createStreams } from '@/lib/audit/streams'
import { systemClock } from '@/lib/clock'
import { createAppDb, type AppDb, type AppTx } from '@/lib/db/app-db'
import { createVaultDb, type VaultDb } from '@/lib/db/vault-db'
import { newSigningSecret } from '@/lib/notifications/webhook-signature'
import { createWebhooks } from '@/lib/notifications/webhooks'
import { newId, type TenantId } from '@/lib/ids'
import { createSignInDomains } from '@/lib/sso/domains'
import type { PersonPrincipal } from '@/lib/tenancy/principal'
import { createTestAudit } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestIdentity } from '@/lib/testing/identity'
import { personPrincipal } from '@/lib/testing/principal'
import { fillTenantTables, tenantTables, type TenantTable } from '@/lib/testing/tenant-rows'

let db: TestDatabases
/** Two connections each: every transaction follows another tenant's on the same one. */
let app: AppDb
let web: AppDb
let vault: VaultDb
beforeAll(async () => {
  db = await createTestDatabases()
  app = createAppDb(db.urls.app, { max: 2 })
  web = createAppDb(db.urls.web, { role: 'portcullis_web', max: 2 })
  vault = createVaultDb(db.urls.vault, { max: 2 })
})
afterAll(async () => {
  await Promise.all([app.close(), web.close(), vault.close()])
  await db.close()
})

type Tx = Pick<AppTx, '$queryRawUnsafe' | '$executeRawUnsafe'>
type Scoped = <T>(tenantId: TenantId, work: (tx: Tx) => Promise<T>) => Promise<T>

async function asAdmin<T>(name: 'app' | 'vault', work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: db.admin[name] })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** `work` so many times, so many at once. */
async function interleave(times: number, atOnce: number, work: (turn: number) => Promise<void>): Promise<void> {
  let turn = 0
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (turn < times) await work(turn++)
    }),
  )
}

describe('every table of tenants', () => {
  const tenants = [newId('tenant'), newId('tenant')] as const
  const tables: Partial<Record<'app' | 'vault', readonly TenantTable[]>> = {}
  beforeAll(async () => {
    for (const name of ['app', 'vault'] as const)
      await asAdmin(name, async (client) => {
        tables[name] = await tenantTables(client)
        await fillTenantTables(client, tables[name], tenants)
      })
  })

  it('is one of those the catalogue lists', () => {
    expect(tables.app?.length).toBeGreaterThanOrEqual(29)
    expect(tables.vault?.length).toBeGreaterThanOrEqual(4)
  })

  const roles: readonly (readonly ['app' | 'vault', string, () => Scoped, number])[] = [
    ['app', 'portcullis_app', () => (id, work) => app.tenant(id, work), 700],
    ['app', 'portcullis_web', () => (id, work) => web.tenant(id, work), 200],
    ['vault', 'portcullis_vault', () => (id, work) => vault.tenant(id, work), 200],
  ]
  it.each(roles)(
    'shows and gives a tenant its own rows alone, in turns with another’s: %s as %s',
    async (name, role, open, times) => {
      const scoped = open()
      const readable = (
        await asAdmin(name, (client) =>
          client.query<{ name: string; writes: boolean }>(
            `SELECT name, has_table_privilege($3, name, 'UPDATE') AND has_table_privilege($3, name, 'DELETE') AS writes
               FROM unnest($1::text[], $2::text[]) AS t (name, tenant) WHERE has_column_privilege($3, name, tenant, 'SELECT')`,
            [tables[name]?.map((table) => table.name), tables[name]?.map((table) => table.tenantColumn), role],
          ),
        )
      ).rows
      const columnOf = new Map(tables[name]?.map((table) => [table.name, table.tenantColumn]))
      // The pages read some columns of some tables; each of the others is all readable to its role.
      expect(readable.length).toBeGreaterThanOrEqual(role === 'portcullis_web' ? 3 : (tables[name]?.length ?? 0))
      const crossed: string[] = []
      await interleave(times, 16, async (turn) => {
        const table = readable[turn % readable.length]
        // Each table by both tenants, one right after the other.
        const own = tenants[Math.floor(turn / readable.length) % 2] ?? tenants[0]
        const other = own === tenants[0] ? tenants[1] : tenants[0]
        if (table === undefined) throw new Error('no table')
        const column = columnOf.get(table.name) ?? ''
        await scoped(own, async (tx) => {
          const seen = await tx.$queryRawUnsafe<{ tenant: string }[]>(`SELECT ${column} AS tenant FROM ${table.name}`)
          // The pages show a person's own of some things, and here is nobody.
          const isMissing = seen.length === 0 && role !== 'portcullis_web'
          if (isMissing || seen.length > 1 || seen.some(({ tenant }) => tenant !== own))
            crossed.push(`${table.name} shows ${JSON.stringify(seen)}`)
          if (!table.writes) return
          const changed = await tx.$executeRawUnsafe(`UPDATE ${table.name} SET ${column} = ${column}`)
          if (changed !== 1) crossed.push(`${table.name}: ${changed} rows changed`)
          const taken = await tx.$executeRawUnsafe(`DELETE FROM ${table.name} WHERE ${column} = '${other}'`)
          if (taken !== 0) crossed.push(`${table.name}: ${taken} rows of another deleted`)
        })
      })
      expect(crossed).toEqual([])
      // Nothing of a tenant is left on either connection.
      for (const table of readable)
        await Promise.all(
          [1, 2].map(async () => {
            const query = `SELECT count(*)::int AS n FROM ${table.name}`
            const global = name === 'app' ? (role === 'portcullis_web' ? web : app) : vault
            const [row] = await (global.global as unknown as Tx).$queryRawUnsafe<{ n: number }[]>(query) // the client has it
            expect(row?.n, table.name).toBe(0)
          }),
        )
    },
  )

  it('takes no row for another tenant from anybody, and lets none be given away', async () => {
    const taken: string[] = []
    for (const [name, scoped, role] of [
      ['app', (id, work) => app.tenant(id, work), 'portcullis_app'],
      ['vault', (id, work) => vault.tenant(id, work), 'portcullis_vault'],
    ] as readonly (readonly ['app' | 'vault', Scoped, string])[])
      for (const { name: table, tenantColumn } of tables[name] ?? []) {
        const [mine, theirs] = tenants
        const refusal = (work: (tx: Tx) => Promise<unknown>) =>
          scoped(mine, work).then(
            () => taken.push(`${role} ${table}`),
            (error: unknown) => expect(String(error), table).toMatch(/row-level security|permission denied/),
          )
        await refusal((tx) => tx.$executeRawUnsafe(`UPDATE ${table} SET ${tenantColumn} = '${theirs}'`))
        const columns = await asAdmin(name, (client) =>
          client.query<{ list: string }>(
            `SELECT string_agg(attname, ', ') AS list FROM pg_attribute
              WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity = '' AND attname <> $2`,
            [table, tenantColumn],
          ),
        )
        const list = columns.rows[0]?.list ?? ''
        await refusal((tx) =>
          tx.$executeRawUnsafe(
            `INSERT INTO ${table} (${tenantColumn}, ${list}) SELECT '${theirs}', ${list} FROM ${table}`,
          ),
        )
      }
    expect(taken).toEqual([])
  })

  it('is not opened by calling any function: whose transaction it is stays, and ends with it', async () => {
    const [mine, theirs] = tenants
    const functions = await asAdmin('app', (client) =>
      client.query<{ name: string; types: string[] }>(
        `SELECT p.proname AS name, ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes::oid[]) AS t) AS types FROM pg_proc p
          WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype <> 'trigger'::regtype
            AND has_function_privilege('portcullis_app', p.oid, 'EXECUTE')`,
      ),
    )
    expect(functions.rows.length).toBeGreaterThan(40)
    const valueOf = (type: string) => (type === 'text' ? `'${theirs}'` : `NULL::${type}`)
    await interleave(functions.rows.length * 6, 8, async (turn) => {
      const one = functions.rows[turn % functions.rows.length]
      if (one === undefined) throw new Error('none')
      const call = `SELECT * FROM ${one.name}(${one.types.map(valueOf).join(', ')})`
      const whose = await app
        .tenant(mine, async (tx) => {
          await tx.$queryRawUnsafe(`SELECT 1 FROM (${call}) AS called`)
          const [row] = await tx.$queryRawUnsafe<{ tenant: string }[]>('SELECT current_tenant() AS tenant')
          return row?.tenant
        })
        .catch(() => mine)
      expect(whose, one.name).toBe(mine)
      const [left] = await app.global.$queryRaw<{ n: number }[]>`SELECT count(*)::int AS n FROM agent`
      expect(left?.n, one.name).toBe(0)
    })
  })
})

describe('the services of two workspaces', () => {
  let id: TestIdentity
  beforeAll(() => {
    id = createTestIdentity({ app, urls: db.urls })
  })
  afterAll(() => id.close())

  it('answer each with its own, called in turns through two connections', { timeout: 60_000 }, async () => {
    const audit = createTestAudit({ ...db, app, vault })
    const shared = { appDb: app, audit, events: audit, clock: systemClock }
    const exports = createExports({ ...shared, folder: id.dataDir, announce: () => Promise.resolve() })
    const streams = createStreams({ ...shared, newSigningSecret, openOrigins: [] })
    const webhookKey = () => Promise.resolve(Buffer.alloc(32, 3))
    const webhooks = createWebhooks({
      ...shared,
      httpOrigins: [],
      keys: { current: async () => ({ version: 1, key: await webhookKey() }), at: webhookKey },
      announce: () => Promise.resolve(),
    })
    const domains = createSignInDomains({
      ...shared,
      limits: id.limits,
      lookupTxt: () => Promise.resolve({ kind: 'absent' }),
    })

    /** Everything that names one side, and must never come back to the other. */
    const sides = await Promise.all(
      ['left', 'right'].map(async (side) => {
        const email = `${side}@example.com`
        const made = await id.person(email)
        const browser = newBrowser()
        const cookie = await id.activate(await id.signIn.withPassword(email, PASSWORD, browser), browser)
        const { personId, tenantId } = made
        const principal = (): PersonPrincipal => personPrincipal(made, 'owner', { network: newBrowser().network })
        const { secret } = await id.apiKeys.create(principal(), { name: 'x', role: 'owner', days: 1 })
        return {
          email,
          tenantId,
          personId,
          cookie,
          key: secret.reveal(),
          principal,
          marks: new Set([tenantId, personId, email]),
        }
      }),
    )
    const crossed: string[] = []
    const calls = { made: 0, refused: 0 }
    const noteIds = (marks: Set<string>, value: unknown) => {
      for (const [found] of JSON.stringify(value ?? null).matchAll(/\b[a-z]{3}_[0-9a-z]{26}\b/g)) marks.add(found)
    }
    type Side = (typeof sides)[number]
    const of = (side: Side, authorization?: string) =>
      id.authenticator.member({
        cookie: authorization === undefined ? `${id.cookies.session}=${side.cookie}` : undefined,
        authorization,
        network: '192.0.2.1',
        address: '192.0.2.1',
      })
    const operations: Readonly<Record<string, (side: Side, turn: number) => Promise<unknown>>> = {
      session: (side) => of(side),
      apiKey: (side) => of(side, `Bearer ${side.key}`),
      cookieOnly: (side) => id.sessions.lookup(side.cookie),
      page: (side) => id.reader.find(side.cookie),
      members: (side) => id.members.list(side.principal()),
      newKey: (side) => id.apiKeys.create(side.principal(), { name: 'same', role: 'member', days: 1 }),
      keys: (side) => id.apiKeys.list(side.principal()),
      invite: (side, turn) =>
        id.invitations.create(side.principal(), { email: `same${turn % 30}@guest.example`, role: 'member', days: 1 }),
      invitations: (side) => id.invitations.list(side.principal()),
      addDomain: (side) => domains.add(side.principal(), 'same.example'),
      verifyDomain: (side) => domains.verify(side.principal(), 'same.example'),
      domains: (side) => domains.list(side.principal()),
      removeDomain: (side) => domains.remove(side.principal(), 'same.example').then(() => 'removed'),
      newExport: (side) => exports.create(side.principal(), 'csv', {}),
      exports: (side) => exports.list(side.principal()),
      newStream: (side) =>
        streams.create(side.principal(), { kind: 'webhook', url: 'https://same.example/hook' }, { fromStart: true }),
      streams: (side) => streams.list(side.principal()),
      newWebhook: (side) => webhooks.create(side.principal(), 'https://same.example/hook'),
      webhooks: (side) => webhooks.list(side.principal()),
      totp: (side) => id.totps.begin(side.personId, side.email),
      methods: async (side) => id.signInMethods.list((await id.sessions.lookup(side.cookie))!), // it is signed in
      workspace: (side) => id.tenants.load(side.principal()),
      personalData: async (side) => {
        const { personId, sessionId: webSessionId } = (await id.sessions.lookup(side.cookie))! // it is signed in
        return id.personalData.take({ personId, webSessionId, network: '192.0.2.1' })
      },
    }
    const names = Object.keys(operations)
    const ROUNDS = 8
    await interleave(names.length * 2 * ROUNDS, 12, async (turn) => {
      const side = sides[turn % 2]
      const other = sides[(turn + 1) % 2]
      const name = names[Math.floor(turn / 2) % names.length] ?? ''
      if (side === undefined || other === undefined) throw new Error('none')
      calls.made += 1
      try {
        const answer = await operations[name]?.(side, turn)
        noteIds(side.marks, answer)
        const text = JSON.stringify(answer ?? null)
        if (answer === undefined || [...other.marks].some((mark) => text.includes(mark)))
          crossed.push(`${name}: ${text}`)
      } catch (error) {
        // A limit that is reached or a domain that is gone; never a fault.
        calls.refused += 1
        expect(error, name).toMatchObject({ code: expect.stringMatching(/^(resource|request)\./) as string })
      }
    })
    expect(crossed).toEqual([])
    expect([...sides[0]!.marks].filter((mark) => sides[1]!.marks.has(mark))).toEqual([]) // there are two
    expect(calls.made).toBe(names.length * 2 * ROUNDS)
    expect(calls.refused).toBeLessThan(calls.made / 2)
    await audit.close()
  })
})
