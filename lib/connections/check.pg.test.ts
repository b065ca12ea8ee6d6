import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createRateLimitStore, type RateLimitStore } from '@/lib/db/rate-limit-store'
import { AppError, type ErrorCode } from '@/lib/errors'
import { newId, type ConnectionId, type PersonId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import type { IdentityResult, ProviderClient, Providers } from '@/lib/providers/client'
import { Secret } from '@/lib/secret'
import type { MemberPrincipal } from '@/lib/tenancy/principal'
import { createAuditWorld, createTestAudit, type AuditWorld } from '@/lib/testing/audit'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createCheck, type CheckDeps, type CheckTokens } from './check'
import { CHECK_RATES, createCheckLimits } from './check-limits'
import { reconcileChecks } from './check-reconcile'

const TOKEN = 'gho_a-credential-that-nobody-may-see'

let db: TestDatabases
let audit: ReturnType<typeof createTestAudit>
let store: RateLimitStore
let world: AuditWorld
let connectionId: ConnectionId
let owner: MemberPrincipal

beforeAll(async () => {
  db = await createTestDatabases()
  audit = createTestAudit(db)
  store = createRateLimitStore(db.urls.app)
})
afterAll(async () => {
  await audit.close()
  await store.close()
  await db.close()
})
beforeEach(async () => {
  world = await createAuditWorld(db.app)
  connectionId = world.connectionId
  await setRow({ owner_person_id: world.personId })
  owner = person(world.tenantId, world.personId, 'member')
})

const setRow = (fields: Readonly<Record<string, string>>) =>
  db.adminQuery(
    'app',
    `UPDATE connection SET ${Object.keys(fields)
      .map((name, index) => `${name} = $${index + 2}`)
      .join(', ')} WHERE id = $1`,
    [connectionId, ...Object.values(fields)],
  )

function person(tenantId: TenantId, personId: PersonId, role: MemberPrincipal['role']): MemberPrincipal {
  return {
    kind: 'person',
    tenantId,
    personId,
    role,
    webSessionId: newId('webSession'),
    authenticatedAt: new Date(),
    network: '127.0.0.1',
  }
}

/** What is on record of this workspace, oldest first; what is never refused is moved there by a worker. */
async function recorded() {
  await audit.drain()
  const rows = await db.adminQuery(
    'app',
    `SELECT action, outcome, reason, actor_kind, connection_id FROM audit_record WHERE tenant_id = $1 ORDER BY occurred_at, id`,
    [world.tenantId],
  )
  return rows.map((row) =>
    ['action', 'outcome', 'reason'].flatMap((name) => (typeof row[name] === 'string' ? [row[name]] : [])).join(' '),
  )
}

const known = (subject: string): IdentityResult => ({
  kind: 'known',
  identity: { subject, label: `label with ${TOKEN}`, email: 'elsewhere@example.test' },
  grantedScopes: null,
})

interface Scene {
  /** What the provider answers, one after the other; the last one again and again. */
  readonly answers?: readonly IdentityResult[]
  readonly tokens?: Partial<CheckTokens>
  readonly deps?: Partial<CheckDeps>
  readonly appKey?: string
}

/** Only the provider's edge and the refresh engine are played. */
function arrange({ answers, tokens = {}, deps = {}, appKey = 'app' }: Scene = {}) {
  const asked: string[] = []
  const left = [...(answers ?? [known(world.connectionId)])]
  const client = {
    definition: { displayName: 'GitHub' },
    app: { key: appKey },
    identify: (token: Secret) => {
      asked.push(`identify ${token.reveal() === TOKEN ? 'old' : 'new'}`)
      const answer = left.length > 1 ? left.shift() : left[0]
      return answer === undefined ? new Promise(() => undefined) : Promise.resolve(answer)
    },
  } as unknown as ProviderClient // the rest of a client is not used here
  const { check } = createCheck({
    appDb: db.app,
    audit,
    limits: createCheckLimits(store),
    providers: {
      get: (name) => (name === 'github' ? client : undefined),
      list: () => [{ name: 'github', displayName: 'GitHub' }] as unknown as ReturnType<Providers['list']>, // only names are read
    },
    tokens: {
      accessToken: () => {
        asked.push('token')
        return Promise.resolve({ token: new Secret(TOKEN), generation: 1 })
      },
      afterUnauthorized: (_tenant, _connection, generation, refusal) => {
        asked.push(`renew ${generation} ${refusal?.documented ?? 'undocumented'}`)
        return Promise.resolve({ token: new Secret('newer'), generation: generation + 1 })
      },
      ...tokens,
    },
    generationOf: () => Promise.resolve(1),
    clock: systemClock,
    log: createLog('test', 'silent'),
    ...deps,
  })
  return { asked, check }
}

describe('testing a connection', () => {
  it('says that it works, whose account it is as we know it, and nothing that the provider said', async () => {
    const { check, asked } = arrange()
    const result = await check(owner, connectionId)
    expect(result).toEqual({
      ok: true,
      account: 'octocat',
      latencyMs: expect.any(Number) as number,
      refreshed: false,
      failure: null,
    })
    expect(asked).toEqual(['token', 'identify old'])
    expect(JSON.stringify(result)).not.toMatch(/gho_|elsewhere/)
  })

  it('has its intent on record before a credential is opened, and its outcome after', async () => {
    let before: string[] = []
    const { check } = arrange({
      tokens: {
        accessToken: async () => {
          before = await recorded()
          return { token: new Secret(TOKEN), generation: 2 }
        },
      },
    })
    expect(await check(owner, connectionId)).toMatchObject({ ok: true, refreshed: true })
    expect(before).toEqual(['connection.test_started'])
    expect(await recorded()).toEqual(['connection.test_started', 'connection.tested success'])
  })

  it('opens nothing when the intent cannot be written', async () => {
    const broken = {
      never: () => Promise.resolve(),
      event: () => Promise.reject(new AppError('audit.unavailable', 'no')),
    }
    const { check, asked } = arrange({ deps: { audit: broken } })
    await expect(check(owner, connectionId)).rejects.toMatchObject({ code: 'audit.unavailable' })
    expect(asked).toEqual([])
  })

  it('opens nothing of a connection that is blocked, and says so', async () => {
    await setRow({ access: 'blocked' })
    const { check, asked } = arrange()
    expect(await check(owner, connectionId)).toMatchObject({ ok: false, failure: { code: 'connection_blocked' } })
    expect(asked).toEqual([])
    expect(await recorded()).toEqual([])
  })

  it('waits for a block that is being made, and then opens nothing', async () => {
    const { check, asked } = arrange()
    let done: Promise<unknown> = Promise.resolve()
    await db.app.tenant(world.tenantId, async (tx) => {
      await tx.connection.updateMany({
        where: { tenantId: world.tenantId, id: connectionId },
        data: { access: 'blocked' },
      })
      done = check(owner, connectionId)
      // Until the test waits for this row.
      for (;;) {
        const [row] = await db.adminQuery(
          'app',
          `SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')`,
        )
        if (Number(row?.['waiting']) > 0) break
      }
    })
    expect(await done).toMatchObject({ failure: { code: 'connection_blocked' } })
    expect(asked).toEqual([])
  })

  it('is the same 404 for an id of nothing, of a stranger and of a colleague', async () => {
    const { check, asked } = arrange()
    const stranger = await createAuditWorld(db.app)
    const asStranger = person(stranger.tenantId, stranger.personId, 'owner')
    const asColleague = person(world.tenantId, newId('person'), 'member')
    const errors = await Promise.all(
      [check(owner, newId('connection')), check(asStranger, connectionId), check(asColleague, connectionId)].map(
        (promise) =>
          promise.then(
            () => 'allowed',
            (error: unknown) => error,
          ),
      ),
    )
    for (const error of errors)
      expect(error).toMatchObject({ code: 'resource.not_found', message: 'There is no such resource.' })
    expect(asked).toEqual([])
  })

  it('is refused to an auditor, who sees and uses nothing; an administrator may', async () => {
    const { check, asked } = arrange()
    await expect(check(person(world.tenantId, newId('person'), 'auditor'), connectionId)).rejects.toMatchObject({
      code: 'auth.forbidden',
    })
    expect(asked).toEqual([])
    expect(await check(person(world.tenantId, newId('person'), 'admin'), connectionId)).toMatchObject({ ok: true })
  })

  it('renews once when the token is refused, and asks once more with the newer one', async () => {
    const { check, asked } = arrange({
      answers: [
        { kind: 'rejected', code: 'token_expired', status: 200, refusedToken: { documented: 'expired' } },
        known(world.connectionId),
      ],
    })
    expect(await check(owner, connectionId)).toMatchObject({ ok: true, refreshed: true })
    expect(asked).toEqual(['token', 'identify old', 'renew 1 expired', 'identify new'])
  })

  it('does not renew a second time when the newer token is refused as well', async () => {
    const { check, asked } = arrange({
      answers: [{ kind: 'rejected', code: 'http_401', status: 401, refusedToken: {} }],
    })
    expect(await check(owner, connectionId)).toMatchObject({
      ok: false,
      failure: { code: 'reauthorization_required', action: 'reconnect' },
    })
    expect(asked).toEqual(['token', 'identify old', 'renew 1 undocumented', 'identify new'])
    expect(await recorded()).toEqual(['connection.test_started', 'connection.tested error reauthorization_required'])
  })

  it('does not take a refusal that is not about the token for one', async () => {
    const { check, asked } = arrange({ answers: [{ kind: 'rejected', code: 'http_403', status: 403 }] })
    expect(await check(owner, connectionId)).toMatchObject({ failure: { code: 'provider_rejected', action: 'wait' } })
    expect(asked).toEqual(['token', 'identify old'])
  })

  it('never calls another account than the connected one well', async () => {
    const { check } = arrange({ answers: [known('somebody-else')] })
    expect(await check(owner, connectionId)).toMatchObject({ ok: false, failure: { code: 'other_account' } })
  })

  it('sends no token to a provider app that it was not issued to', async () => {
    const { check, asked } = arrange({ appKey: 'another app' })
    expect(await check(owner, connectionId)).toMatchObject({
      failure: { code: 'provider_misconfigured', action: 'operator' },
    })
    expect(asked).toEqual([])
  })

  it.each<[ErrorCode, string, string]>([
    ['connection.reauthorization_required', 'reauthorization_required', 'reconnect'],
    ['connection.already_revoked', 'access_ended', 'reconnect'],
    ['connection.not_ready', 'not_ready', 'wait'],
    ['provider.unavailable', 'provider_unavailable', 'wait'],
    ['provider.rejected', 'provider_rejected', 'wait'],
    ['provider.misconfigured', 'provider_misconfigured', 'operator'],
    ['vault.unreadable', 'credential_unreadable', 'operator'],
    ['vault.key_unavailable', 'service_unavailable', 'operator'],
    ['internal', 'internal', 'wait'],
  ])('answers %s in words of its own, as %s', async (thrown, code, action) => {
    const { check } = arrange({
      tokens: { accessToken: () => Promise.reject(new AppError(thrown, `inside: ${TOKEN}`)) },
    })
    const result = await check(owner, connectionId)
    expect(result).toMatchObject({ ok: false, failure: { code, action } })
    expect(JSON.stringify(result)).not.toContain(TOKEN)
    expect(await recorded()).toEqual(['connection.test_started', `connection.tested error ${code}`])
  })

  it('ends by itself when the provider never answers, and that is on record', async () => {
    const { check } = arrange({ answers: [], deps: { timeoutMs: 50 } })
    expect(await check(owner, connectionId)).toMatchObject({ failure: { code: 'provider_slow', action: 'wait' } })
    expect(await recorded()).toEqual(['connection.test_started', 'connection.tested error provider_slow'])
  })

  it('is refused before anything is opened when it is asked too often, for this connection alone', async () => {
    const { check, asked } = arrange()
    for (let count = 0; count < CHECK_RATES.connection.points; count += 1) await check(owner, connectionId)
    const used = asked.length
    await expect(check(owner, connectionId)).rejects.toMatchObject({ code: 'request.rate_limited' })
    expect(asked).toHaveLength(used)
  })

  it('cannot be used up by somebody who may not test', async () => {
    const { check } = arrange()
    const colleague = person(world.tenantId, newId('person'), 'member')
    for (let count = 0; count <= CHECK_RATES.connection.points; count += 1)
      await check(colleague, connectionId).catch(() => undefined)
    expect(await check(owner, connectionId)).toMatchObject({ ok: true })
  })

  describe('whose process died', () => {
    const NOW = { olderThanMs: 0, windowMs: 3_600_000, limit: 500 }
    const reconcile = (options: Partial<typeof NOW> = {}) =>
      reconcileChecks({ appDb: db.app, audit, log: createLog('test', 'silent') }, { ...NOW, ...options })

    /** A test that has begun and of which nobody will ever hear again. */
    async function killed() {
      let opened: () => void = () => undefined
      const isOpen = new Promise<void>((resolve) => (opened = resolve))
      const { check } = arrange({
        tokens: {
          accessToken: () => {
            opened()
            return new Promise(() => undefined)
          },
        },
      })
      void check(owner, connectionId).catch(() => undefined)
      await isOpen
    }

    it('ends as unknown, once, although two workers found it at the same moment', async () => {
      await killed()
      expect(await recorded()).toEqual(['connection.test_started'])
      let second: Promise<number> = Promise.resolve(0)
      const slow: Pick<typeof audit, 'event'> = {
        event: async (tx, event) => {
          await audit.event(tx, event)
          // Before this one commits the other has found the same test, and waits for it.
          second = reconcile()
          for (;;) {
            const [row] = await db.adminQuery(
              'app',
              `SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted AND locktype = 'advisory'`,
            )
            if (Number(row?.['waiting']) > 0) break
          }
        },
      }
      const deps = { appDb: db.app, audit: slow, log: createLog('test', 'silent') }
      expect(await reconcileChecks(deps, NOW)).toBe(1)
      expect(await second).toBe(0)
      expect(await reconcile()).toBe(0)
      expect(await recorded()).toEqual(['connection.test_started', 'connection.tested unknown process_lost'])
    })

    it('is not ended while it may still run, and one that ended is left alone', async () => {
      const { check } = arrange()
      await check(owner, connectionId)
      await killed()
      const before = await recorded()
      await reconcile({ olderThanMs: 60_000 })
      expect(await recorded()).toEqual(before)
      await reconcile()
      expect(await recorded()).toEqual([...before, 'connection.tested unknown process_lost'])
    })
  })
})
