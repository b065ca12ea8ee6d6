import { readdirSync } from 'node:fs'
import path from 'node:path'

import { expect, test } from '@playwright/test'

import {
  gatewayPaths,
  operationIdsOnDisk,
  pageQueryNames,
  pages,
  routeHandlers,
  serverActions,
} from './support/sweep/discover'
import {
  comparable,
  difference,
  each,
  namesOf,
  sweepCursors,
  sweepForeign,
  sweepHostile,
  sweepNobody,
  sweepOrigins,
  sweepOwn,
  sweepRoles,
  sweepTenantHints,
  type Actor,
} from './support/sweep/checks'
import { withDatabase } from './support/database'
import { missingId, operationsOf, type Operation } from './support/sweep/operations'
import { addPasskey } from './support/passkey'
import { createVisitor, type SendOptions, type Visitor } from './support/visitor'
import { anotherSession, beginAuthorization, byKey, startWorkspaces, type Workspaces } from './support/workspaces'

/**
 * Every page, route handler, REST operation and gateway path there is on disk, called as nobody, as the owner of another
 * workspace and as each role, with recorded ids in every place an id can stand. What is added later is swept by itself;
 * what cannot be swept fails until it has a rule here.
 */
test.describe.configure({ mode: 'serial' })

/** What nobody may reach without signing in, and why. Each entry is used, or the test fails. */
const PUBLIC = [
  { path: '/login', because: 'where signing in begins' },
  { path: '/login/sso', because: 'where signing in through an organization begins; a POST says where it leads' },
  { path: '/login/continue', because: 'takes the ticket of a sign-in that ended elsewhere; without one it says so' },
  { path: '/invite', because: 'reads its secret from the fragment; spends it by a POST' },
  { path: '/login/second-factor', because: 'holds nothing; the browser asks the gateway what is wanted' },
  { path: '/magic-link', because: 'reads its secret from the fragment; spends it by a POST' },
  { path: '/reset', because: 'reads its secret from the fragment; spends it by a POST' },
  { path: '/sign-up', because: 'reads its secret from the fragment; spends it by a POST' },
  { path: '/verify-email', because: 'reads its secret from the fragment; spends it by a POST' },
  { path: '/api/auth/[...nextauth]', because: 'turns the ticket of a sign-in into the cookie' },
  { path: '/api/v1/openapi.json', because: 'the contract itself, the same for everybody' },
  { path: '/api/v1/leaked-keys', because: 'whoever found a key may end it, and learns nothing by that' },
  { path: '/healthz', because: 'probes have no account' },
  { path: '/readyz', because: 'probes have no account' },
  {
    path: '/signin/',
    because: 'steps of signing in; each asks for a secret of its own, or for a session and what its person owned',
  },
  { path: '/.well-known/oauth-protected-resource/mcp/', because: 'RFC 9728: how a client without a session finds out' },
  { path: '/.well-known/oauth-authorization-server', because: 'RFC 8414: the same for everybody' },
  { path: '/.well-known/openid-configuration', because: 'answers 404 to whoever looks for what this is not' },
  { path: '/robots.txt', because: 'a static file' },
  { path: '/icon.svg', because: 'a static file' },
] as const

/** Gateway prefixes that are not public: who asks for what is tried below, by the test named here. */
const SWEPT: Readonly<Record<string, string>> = {
  '/api/v1/': 'every operation of the document',
  '/mcp/': 'an agent’s URL opens to its own session and to nothing else',
  '/oauth/': 'a request for an agent is seen and answered by whoever began it and may, and by nobody else',
  '/connect/': 'consent starts for whoever is signed in and may connect, and renews nobody else’s connection',
  '/metrics': 'metrics are on a port of their own, and at no address of the product',
}

/** Stricter than the permission says, each for a reason. */
const STRICTER = {
  'member.remove': {
    permission: 'member.manage',
    because: 'everybody may leave, only managers may remove somebody else',
  },
} as const
/** Refuses for want of proof rather than of a role: the caller did not give the present password. */
const NEEDS_PROOF = {
  'account.change_password': 'asks for the present password',
  'account.change_email': 'asks for the present password',
}
/** Answers its owner that there is nothing to do, which is more than somebody else hears. */
const NOTHING_TO_DO = {
  'sign_in.unlink': 'the member is linked to nothing',
  'connection.restore': 'the account is connected; only one that its provider refused can be restored',
}
/** Kinds of ids in the dynamic segments and queries of pages, where the name alone does not say so. */
const SEGMENTS: Readonly<Record<string, string>> = {
  agentId: 'agt',
  connectionId: 'con',
  sessionId: 'ags',
  personId: 'per',
  apiKeyId: 'key',
  linkId: 'idn',
  callId: 'cal',
  recordId: 'aud',
  attemptId: 'cat',
  // The page holds nothing of the request it is about, so any text will do; who may ask about it is tried at the gateway.
  uid: 'agt',
}

let world: Workspaces
let operations: Operation[]
let documentFindings: string[]
let stranger: Actor
let strangers: Actor[]
const used = new Set<string>()
const isPublic = (path: string): boolean => {
  const entry = PUBLIC.find((one) => one.path === path || (one.path.endsWith('/') && path.startsWith(one.path)))
  if (entry !== undefined) used.add(entry.path)
  return entry !== undefined
}

test.beforeAll(async () => {
  test.setTimeout(420_000)
  world = await startWorkspaces()
  const url = world.connected.product.url
  const answer = await createVisitor(url).send('/api/v1/openapi.json')
  expect([answer.status, isPublic('/api/v1/openapi.json')]).toEqual([200, true])
  ;({ operations, findings: documentFindings } = operationsOf(answer.json()))
  stranger = { name: 'a stranger by cookie', send: world.stranger.send }
  strangers = [stranger, { ...byKey(url, world.strangerKey), name: 'a stranger by key' }]
})

test.afterAll(async () => {
  await world.connected.close()
})

const nobody = (): Visitor => createVisitor(world.connected.product.url)

test('every recorded id is there, so that the sweep proves something', () => {
  expect([...world.recorded].filter(([prefix, id]) => !id.startsWith(`${prefix}_`))).toEqual([])
})

test('what is on disk and what is served are the same, and everything has a rule', () => {
  expect(documentFindings).toEqual([])
  expect(operations.map(({ id }) => id).sort()).toEqual(operationIdsOnDisk())
  expect(serverActions(), 'pages write by the gateway alone').toEqual([])
  expect(
    routeHandlers()
      .map(({ route }) => route)
      .filter((route) => !isPublic(route)),
  ).toEqual([])
  expect(gatewayPaths().filter((path) => !isPublic(path) && SWEPT[path] === undefined && !isServed(path))).toEqual([])
  const unknown = pages().flatMap(({ route, params }) =>
    params.filter((name) => SEGMENTS[name] === undefined).map((name) => `${route}: ${name}`),
  )
  expect(unknown, 'dynamic segments whose kind of id is not known').toEqual([])
})

/** A path that an operation of the document answers for, written out in a source of the router. */
const isServed = (path: string) => operations.some((operation) => operation.path === path)

test('nobody gets 401 from every operation, whatever they show instead of a credential', async () => {
  const garbage = { authorization: `Bearer pck_${'a'.repeat(43)}` }
  const withHeaders = (name: string, headers: Record<string, string>, visitor = nobody()): Actor => ({
    name,
    send: (path, options = {}) => visitor.send(path, { ...options, headers: { ...options.headers, ...headers } }),
  })
  const actors: Actor[] = [
    { name: 'nobody', send: nobody().send },
    withHeaders('an unknown key', garbage),
    withHeaders('an unknown session', { cookie: `next-auth.session-token=pcw_${'a'.repeat(43)}` }),
    withHeaders('an agent', { authorization: `Bearer ${world.connected.agent.sessionKey}` }),
    withHeaders('the owner’s cookie beside an unknown key', { ...garbage, cookie: cookieOf(world.owner) }),
    withHeaders('the owner’s cookie twice', { cookie: `${cookieOf(world.owner)}; ${cookieOf(world.owner)}` }),
  ]
  expect(await sweepNobody(operations, actors, world.recorded)).toEqual([])
})

const cookieOf = (visitor: Visitor) => `next-auth.session-token=${visitor.cookie('next-auth.session-token') ?? ''}`

test('to the owner of another workspace, our ids and ids of nothing are the same bytes everywhere', async () => {
  // First of all: what the strangers ask for later stands in their own trail, and so in what they may read of it.
  expect(await sweepTenantHints(operations, strangers, world.recorded)).toEqual([])
  expect(await sweepForeign(operations, strangers, world.recorded, { own: world.strangers })).toEqual([])
  const owner = { name: 'the owner', send: world.owner.send }
  expect(await sweepCursors(operations, owner, strangers, world.recorded)).toEqual([])
})

test('to a member, a colleague’s connection and key are the same as none', async () => {
  const members = world.roleActors.filter(({ name }) => name === 'member by cookie')
  const theirs = { own: world.recorded, prefixes: ['con', 'key', 'ses'] }
  expect(
    await sweepForeign(
      operations.filter(({ positions }) => positions.every(({ where }) => where !== 'query')),
      members,
      new Map([...world.recorded].filter(([prefix]) => theirs.prefixes.includes(prefix))),
      theirs,
    ),
  ).toEqual([])
})

test('each role may do what the permission table says, by cookie and by key, and nothing else', async () => {
  const rules = { stricter: STRICTER, refuses: NEEDS_PROOF }
  expect(await sweepRoles(operations, world.roleActors, world.recorded, rules)).toEqual([])
  for (const id of [STRICTER, NEEDS_PROOF, NOTHING_TO_DO].flatMap((exceptions) => Object.keys(exceptions)))
    expect(
      operations.map((operation) => operation.id),
      'an exception for what is no longer there',
    ).toContain(id)
})

test('a page of another site changes nothing by the owner’s cookie', async () => {
  expect(await sweepOrigins(operations, { name: 'the owner', send: world.owner.send }, world.recorded)).toEqual([])
})

test('ids that are lists, objects, nothing or worse are refused, and never a fault', async () => {
  expect(await sweepHostile(operations, stranger, world.recorded)).toEqual([])
})

test('nobody is sent to sign in by every page that is not public, and sees nothing on the way', async () => {
  const found = await each(
    pages(),
    async ({ route, params }) => {
      const path = params.reduce(
        (text, name) => text.replace(`[${name}]`, world.recorded.get(SEGMENTS[name] ?? '') ?? ''),
        route,
      )
      const open = isPublic(route)
      const ways: [string, Record<string, string>][] = [
        ['', {}],
        [' as data', { rsc: '1' }],
      ]
      const each = await Promise.all(
        ways.map(async ([way, headers]) => {
          const answer = await follow(path, headers)
          const leaked = namesOf(answer, world.recorded, path.split('/').at(-1))
          // A page whose frame was on its way already says so in the stream that follows it.
          const isSentAway =
            /^(https?:\/\/[^/]+)?\/login/.test(answer.headers.location ?? '') ||
            answer.body.includes('NEXT_REDIRECT;replace;/login')
          return [
            ...(open
              ? answer.status === 200 && !isSentAway
                ? []
                : [`${route}${way}: ${answer.status}`]
              : isSentAway
                ? []
                : [`${route}${way} answers nobody ${answer.status}`]),
            ...leaked.map((id) => `${route}${way} names ${id}`),
          ]
        }),
      )
      return each.flat()
    },
    3,
  )
  expect(found).toEqual([])
})

/** As nobody; Next sends a request for data to the same address with a mark for caches first. */
async function follow(path: string, headers: Record<string, string>) {
  const answer = await nobody().send(path, { headers })
  const { location } = answer.headers
  const isMarked = headers['rsc'] !== undefined && location !== undefined && /[?&]_rsc\b/.test(location)
  if (!isMarked) return answer
  const { pathname, search } = new URL(location, world.connected.product.url)
  return nobody().send(pathname + search, { headers })
}

/** Until the refusals of what was asked before are in the trail: a page that lists them then lists the same twice. */
async function trailAtRest(): Promise<void> {
  const { dataDir } = world.connected.product
  const waiting = async () => {
    const spooled = readdirSync(path.join(dataDir, 'spool', 'audit')).filter((name) => name.endsWith('.jsonl'))
    const [row] = await withDatabase(dataDir, 'portcullis', (query) =>
      query('SELECT count(*)::int AS n FROM audit_outbox'),
    )
    return spooled.length + Number(row?.['n'])
  }
  await expect.poll(waiting, { timeout: 60_000, intervals: [250, 1_000] }).toBe(0)
}

test('a page about another’s id is the page about nothing', async () => {
  await trailAtRest()
  const names = pageQueryNames().filter((name) => !['next', 'state', 'code', 'error'].includes(name))
  expect(names).toEqual(expect.arrayContaining(['attempt', 'connection']))
  const cases = pages().flatMap(({ route, params }) => [
    ...params.map((name) => ({
      route,
      prefix: SEGMENTS[name] ?? '',
      path: (id: string) => route.replace(`[${name}]`, id),
    })),
    ...(params.length > 0 ? [] : ['agt', 'con', 'cat', 'ags']).map((prefix) => ({
      route: `${route} with ${prefix}_ in its query`,
      prefix,
      path: (id: string) => `${route}?${new URLSearchParams(names.map((name) => [name, id])).toString()}`,
    })),
  ])
  const found = await each(
    cases,
    async ({ route, prefix, path }) => {
      const theirs = world.recorded.get(prefix)
      if (theirs === undefined) return [`${route}: no ${prefix}_ id was recorded`]
      const nothing = missingId(prefix)
      const found: string[] = []
      const look = async (id: string): Promise<string> => {
        const answer = await world.stranger.send(path(id))
        if (answer.status >= 500) found.push(`${route}: ${answer.status}`)
        found.push(...namesOf(answer, world.recorded, id).map((one) => `${route} names ${one}`))
        return comparablePage(answer, id)
      }
      const [ours, none]: [string[], string[]] = [[], []]
      while (!ours.some((one) => none.includes(one))) {
        if (ours.length === MAX_LOOKS)
          return [...found, `${route}: ${difference(ours.at(-1) ?? '', none.at(-1) ?? '') ?? ''}`]
        ours.push(await look(theirs))
        none.push(await look(nothing))
      }
      return found
    },
    3,
  )
  expect(found).toEqual([])
})

/**
 * Parts of a page are sent in the order in which they are ready, which is the clock's. What says something about an id is
 * there every time; what the clock did is the same on both sides sooner or later.
 */
const MAX_LOOKS = 8

/** A page is sent in pieces, cut wherever the clock wanted, and tells the browser what time it is. Neither says anything. */
function comparablePage(answer: Parameters<typeof comparable>[0], asked: string): string {
  return comparable(answer, asked)
    .replaceAll(/"\]\)<\/script><script[^>]*>self\.__next_f\.push\(\[1,"/g, '')
    .replaceAll(/(initialNow\\*":)\d{13}/g, '$1<now>')
}

test('an agent’s URL opens to its own session and to nothing else', async () => {
  const agent = world.recorded.get('agt') ?? ''
  const nothing = missingId('agt')
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
  const post = (id: string, headers: Record<string, string>) => nobody().send(`/mcp/${id}`, { json: list, headers })
  const credentials: [string, Record<string, string>][] = [
    ['nobody', {}],
    ['another workspace’s agent', { authorization: `Bearer ${world.strangers.get('sessionKey') ?? ''}` }],
    ['an API key of the owner', { authorization: `Bearer ${world.keys.owner}` }],
    ['the owner’s cookie', { cookie: cookieOf(world.owner) }],
  ]
  for (const [who, headers] of credentials) {
    const [a, b] = [await post(agent, headers), await post(nothing, headers)]
    expect(a.status, who).toBe(401)
    expect(a.headers['www-authenticate'], who).toMatch(/^Bearer /)
    expect(difference(comparable(a, agent), comparable(b, nothing)), who).toBeUndefined()
  }
  expect((await post(agent, { authorization: `Bearer ${world.connected.agent.sessionKey}` })).status).toBe(200)

  const prefix = '/.well-known/oauth-protected-resource/mcp/'
  expect(isPublic(prefix)).toBe(true)
  const [a, b] = [await nobody().send(prefix + agent), await nobody().send(prefix + nothing)]
  expect(a.status).toBe(200)
  expect(difference(comparable(a, agent), comparable(b, nothing))).toBeUndefined()
})

test('consent starts for whoever is signed in and may connect, and renews nobody else’s connection', async () => {
  const start = (who: Visitor, body: unknown, options: object = {}) =>
    who.send('/connect/github', { json: body, ...options })
  expect((await start(nobody(), {})).status).toBe(401)
  expect((await start(world.people.auditor, {})).status).toBe(403)
  expect((await start(world.owner, {}, { sameOrigin: false })).status).toBe(403)
  const keyed = await nobody().send('/connect/github', {
    json: {},
    headers: { authorization: `Bearer ${world.keys.owner}` },
  })
  expect(keyed.status).toBe(401)
  expect((await nobody().send('/connect/github')).headers.location).toBe('/connections/new?provider=github')

  const theirs = world.recorded.get('con') ?? ''
  const nothing = missingId('con')
  for (const who of [world.stranger, world.people.member]) {
    const [a, b] = [await start(who, { connectionId: theirs }), await start(who, { connectionId: nothing })]
    expect(a.status).toBe(404)
    expect(difference(comparable(a, theirs), comparable(b, nothing))).toBeUndefined()
  }
  for (const connectionId of [null, [], [theirs], {}, 1, true, '__proto__', 'a'.repeat(9_000)])
    expect((await start(world.stranger, { connectionId })).status).toBeLessThan(500)
  // Coming back with nothing of one's own leads to a page and connects nothing.
  for (const path of [
    '/connect/callback/github',
    '/connect/callback/github?state=a&state=b&code=c',
    `/connect/callback/github?state=${theirs}`,
  ])
    expect((await world.stranger.send(path)).headers.location).toBe('/connections/result?problem=unknown_link')
  expect((await world.stranger.send('/connect/__proto__', { json: {} })).status).toBe(404)
})

test('a request for an agent is seen and answered by whoever began it and may, and by nobody else', async () => {
  const { owner, stranger } = world
  const agent = world.recorded.get('agt') ?? ''
  const { uid, cookies } = await beginAuthorization(world.connected.product.url, owner, agent)
  const consent = (id: string) => `/oauth/authorize/${id}/consent`
  const nothing = 'A'.repeat(uid.length)

  // Without the cookie of the browser it began in it is not there, for whoever asks, whatever they want of it.
  for (const [who, visitor] of [
    ['nobody', nobody()],
    ['a stranger', stranger],
    ['a member', world.people.member],
  ] as const)
    for (const json of [undefined, { decision: 'deny' }, { decision: 'approve', proof: 'x'.repeat(43) }]) {
      const ask = (id: string) => visitor.send(consent(id), json === undefined ? {} : { json })
      const [a, b] = [await ask(uid), await ask(nothing)]
      expect(a.status, who).toBe(404)
      expect(difference(comparable(a, uid), comparable(b, nothing)), who).toBeUndefined()
    }

  // With the cookie, at the same browser: signed out there is nobody to ask; who may not have the agent learns nothing of it.
  const carried = Object.entries(cookies).map(([name, value]) => `${name}=${value}`)
  const asWith = (visitor: Visitor | undefined, options: SendOptions = {}) => {
    const cookie = visitor === undefined ? carried : [...carried, cookieOf(visitor)]
    return nobody().send(consent(uid), { ...options, headers: { cookie: cookie.join('; ') } })
  }
  expect((await asWith(undefined)).status).toBe(401)
  const toStranger = await asWith(stranger)
  expect(toStranger.json()).toMatchObject({ kind: 'refused', reason: 'no_access' })
  expect(namesOf(toStranger, world.recorded)).toEqual([])
  const toAuditor = await asWith(world.people.auditor)
  expect(toAuditor.json()).toMatchObject({ kind: 'refused', reason: 'role' })
  expect(namesOf(toAuditor, world.recorded)).toEqual([])

  const shown = (await asWith(owner)).json() as { kind: string; proof: string } // the gateway's own answer
  expect(shown.kind).toBe('ask')
  const approve = { decision: 'approve', proof: shown.proof }
  // What was shown to the owner is nobody else's to approve; nor may another site's page, or a word that was made up.
  for (const who of [stranger, world.people.auditor, world.people.member])
    expect((await asWith(who, { json: approve })).status).toBe(403)
  expect((await asWith(owner, { json: approve, sameOrigin: false })).status).toBe(403)
  expect((await asWith(owner, { json: { ...approve, proof: 'x'.repeat(43) } })).status).toBe(403)
  for (const json of [null, [], 1, {}, { decision: 'approve' }, { decision: ['deny'] }, { ...approve, extra: 1 }])
    expect((await asWith(owner, { json })).status).toBe(400)

  // Who returns must be who agreed.
  expect((await asWith(owner, { json: approve })).json()).toEqual({ next: `/oauth/authorize/${uid}` })
  const back = (visitor: Visitor) =>
    nobody().send(`/oauth/authorize/${uid}`, { headers: { cookie: [...carried, cookieOf(visitor)].join('; ') } })
  const strangers = await back(stranger)
  expect([strangers.status, strangers.headers.location]).toEqual([400, undefined])
})

test('steps of signing in belong to our own pages and are no way around them', async () => {
  // Which names may follow a prefix is tested with them; the list of ways to sign in is read, the same by everybody.
  const steps = gatewayPaths().filter(
    (path) => path.startsWith('/signin/') && !path.endsWith('/') && path !== '/signin/available',
  )
  expect(steps.length).toBeGreaterThan(0)
  for (const step of steps) {
    const foreign = await nobody().send(step, { json: {}, sameOrigin: false })
    expect([step, foreign.status]).toEqual([step, 403])
    const page = step === '/signin/sso' ? '/login/sso' : '/login'
    expect([step, (await nobody().send(step)).headers.location]).toEqual([step, world.connected.product.url + page])
    for (const json of [
      null,
      [],
      1,
      { secret: ['pcl_x'] },
      { email: { $ne: null } },
      JSON.parse('{"__proto__":{}}') as unknown,
    ]) {
      const answer = await nobody().send(step, { json })
      expect(answer.status, `${step} ${JSON.stringify(json)}`).toBeGreaterThanOrEqual(400)
      expect(answer.status, `${step} ${JSON.stringify(json)}`).toBeLessThan(500)
    }
  }
  expect((await nobody().send('/signin/__proto__', { json: {} })).status).toBe(404)
})

test('what is public answers, and gives nothing of anybody', async () => {
  for (const path of ['/healthz', '/readyz', '/robots.txt', '/icon.svg', '/api/auth/session']) {
    const answer = await nobody().send(path)
    expect([path, answer.status]).toEqual([path, 200])
    expect(namesOf(answer, world.recorded)).toEqual([])
    isPublic(path === '/api/auth/session' ? '/api/auth/[...nextauth]' : path)
  }
})

test('for their owner the same ids work', async () => {
  // Ended on the way here, by the operation that does so.
  const ses = await anotherSession(world.connected)
  const pky = await addPasskey(world.owner, world.connected.product.url)
  const recorded = new Map([...world.recorded, ['ses', ses], ['pky', pky]])
  const owner = { name: 'the owner', send: world.owner.send }
  expect(await sweepOwn(operations, owner, recorded, NOTHING_TO_DO)).toEqual([])
})

test('metrics are on a port of their own, and at no address of the product', async () => {
  for (const send of [nobody().send, world.owner.send])
    for (const path of ['/metrics', '/metrics/', '/api/v1/metrics', '/api/metrics']) {
      const answer = await send(path)
      expect(answer.status, path).not.toBe(200)
      expect(answer.body, path).not.toContain('portcullis_audit_')
    }
})

test('no exception is left over', () => {
  expect(PUBLIC.map(({ path }) => path).filter((path) => !used.has(path))).toEqual([])
  expect(Object.keys(SWEPT).filter((path) => !gatewayPaths().includes(path))).toEqual([])
})
