import { generateKeyPair, UnsecuredJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createEgress, type Egress } from '@/lib/egress/egress'
import type { WebSession } from '@/lib/identity/sessions'
import type { PersonId, TenantId } from '@/lib/ids'
import { createIssuers } from '@/lib/providers/issuer'
import type { PersonPrincipal, Role } from '@/lib/tenancy/principal'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestBrowser, type TestIdentity } from '@/lib/testing/identity'
import { personPrincipal } from '@/lib/testing/principal'
import { startTestIssuer, type TestIssuer } from '@/lib/testing/issuer'

import { createSignInConfigs, redirectUriOf, type SignInConfig, type SignInConfigs } from './config'
import { createSignInDomains, recheckDomains, type SignInDomains } from './domains'
import { createEnterpriseSignIn, type EnterpriseSignIn, type SignInOutcome } from './enterprise'
import type { SignInKeys } from './secret'
import type { TxtAnswer } from './txt'

const PUBLIC_URL = 'https://portcullis.test'

let db: TestDatabases
let id: TestIdentity
let issuer: TestIssuer
let other: TestIssuer
/** Leaves the address out of its ID tokens. */
let bare: TestIssuer
let egress: Egress
let configs: SignInConfigs
let domains: SignInDomains
let enterprise: EnterpriseSignIn
/** One that keeps what it learns of an issuer, as a gateway does. */
let makeSteady: () => EnterpriseSignIn
const records = new Map<string, TxtAnswer>()
const lookupTxt = (name: string): Promise<TxtAnswer> => Promise.resolve(records.get(name) ?? { kind: 'absent' })

beforeAll(async () => {
  db = await createTestDatabases({ max: 16 })
  id = createTestIdentity(db, { publicUrl: PUBLIC_URL })
  issuer = await startTestIssuer()
  other = await startTestIssuer()
  bare = await startTestIssuer({ accessTokenOnlyEmail: true })
  const allow = [issuer.origin, other.origin, bare.origin]
  egress = createEgress({ allow, allowUnsafe: true, production: false })
  const issuers = () => createIssuers({ egress, clock: systemClock, httpOrigins: allow })
  const shared = {
    appDb: db.app,
    events: id.signInDeps.events,
    keys: fixedKeys(),
    limits: id.limits,
    publicUrl: PUBLIC_URL,
  }
  // A cache of its own for each: a document that a test bends is asked for anew.
  configs = fresh(() => createSignInConfigs({ ...shared, issuers: issuers() }))
  makeSteady = () =>
    createEnterpriseSignIn({ ...shared, issuers: issuers(), sessions: id.sessions, clock: systemClock })
  enterprise = fresh(makeSteady)
  domains = createSignInDomains({ ...shared, lookupTxt })
})
afterAll(async () => {
  await egress.close()
  await Promise.all([issuer.close(), other.close(), bare.close()])
  await id.close()
  await db.close()
})
beforeEach(() => {
  for (const one of [issuer, other, bare]) {
    one.document = {}
    one.claims = {}
    one.userinfo = {}
    one.idToken = undefined
    one.person = null
  }
  records.clear()
  id.recorded.length = 0
})

/** Made anew at each use. */
function fresh<T extends object>(make: () => T): T {
  return new Proxy({} as T, { get: (_, name) => Reflect.get(make(), name) as unknown }) // stands for what `make` makes
}

function fixedKeys(): SignInKeys {
  const key = () => Buffer.alloc(32, 7)
  return { current: () => Promise.resolve({ version: 1, key: key() }), at: () => Promise.resolve(key()) }
}

interface World {
  readonly tenantId: TenantId
  readonly owner: PersonPrincipal
  readonly config: SignInConfig
  readonly domain: string
  readonly slug: string
}

let worlds = 0

/** A workspace with an issuer and a proven domain. */
async function workspace(at: TestIssuer = issuer, joinRole: 'member' | null = 'member'): Promise<World> {
  worlds += 1
  const domain = `corp${worlds}.example`
  const { personId, tenantId } = await id.person(`owner${worlds}@home${worlds}.example`)
  const owner = principal(personId, tenantId, 'owner')
  const config = await configs.save(owner, {
    issuer: at.issuer,
    clientId: at.clientId,
    clientSecret: at.clientSecret,
    joinRole,
  })
  at.register(config.redirectUri)
  await prove(owner, domain)
  const slug = new URL(config.signInUrl).searchParams.get('workspace') ?? ''
  return { tenantId, owner, config, domain, slug }
}

const principal = (personId: PersonId, tenantId: TenantId, role: Role) =>
  personPrincipal({ tenantId, personId }, role, { network: newBrowser().network })

async function prove(owner: PersonPrincipal, domain: string): Promise<void> {
  const added = await domains.add(owner, domain)
  records.set(added.recordName, { kind: 'found', records: ['v=spf1 -all', added.recordValue] })
  expect(await domains.verify(owner, domain)).toMatchObject({ result: 'verified' })
}

const alice = (world: World, more: object = {}) => ({
  sub: 'alice-at-issuer',
  email: `alice@${world.domain}`,
  email_verified: true,
  name: 'Alice',
  ...more,
})

/** A whole sign-in in one browser. */
async function signIn(
  world: World,
  options: {
    readonly at?: TestIssuer
    readonly browser?: TestBrowser
    readonly link?: WebSession
    readonly by?: EnterpriseSignIn
  } = {},
): Promise<SignInOutcome> {
  const { at = issuer, browser = newBrowser(), link, by = enterprise } = options
  const url = await by.start(
    { workspace: world.slug },
    { visitor: browser, next: '/agents', ...(link === undefined ? {} : { link }) },
  )
  const callback = await at.walk(url)
  return by.finish(world.config.id, callback.search, browser, link)
}

async function signedIn(world: World, options: Parameters<typeof signIn>[1] = {}) {
  const browser = options.browser ?? newBrowser()
  const outcome = await signIn(world, { ...options, browser })
  if (outcome.kind !== 'signed_in') throw new Error(JSON.stringify(outcome))
  const secret = await id.activate(outcome.ticket, browser)
  const session = await id.sessions.lookup(secret)
  if (session === undefined) throw new Error('there is no session')
  return { ...outcome, secret, session }
}

async function passwordSession(email: string) {
  const browser = newBrowser()
  const secret = await id.activate(await id.signIn.withPassword(email, PASSWORD, browser), browser)
  const session = await id.sessions.lookup(secret)
  if (session === undefined) throw new Error('there is no session')
  return { secret, session, browser }
}

const cookie = (secret: string) => `${id.cookies.session}=${secret}`
const member = (secret: string) =>
  id.authenticator.member({
    cookie: cookie(secret),
    authorization: undefined,
    network: '10.9.9.9',
    address: '10.9.9.9',
  })
const refused = (problem: string) => ({ kind: 'refused', problem })

describe('signing in through a workspace’s issuer', () => {
  it('makes somebody of a proven domain a member, and knows them again by issuer and subject', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const first = await signedIn(world)
    expect(first.next).toBe('/agents')
    expect(await member(first.secret)).toMatchObject({ tenantId: world.tenantId, role: 'member' })
    expect(id.recorded.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['member.added', 'sign_in.linked', 'person.signed_in']),
    )
    // The address is another one now; the person is the same.
    issuer.person = alice(world, { email: 'somebody@elsewhere.example', email_verified: false })
    const second = await signedIn(world)
    expect(second.ticket.personId).toBe(first.ticket.personId)
  })

  it('begins by the domain of an address, alike for an account that is there and one that is not', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    await signedIn(world)
    const shapes: string[] = []
    for (const name of ['alice', 'nobody']) {
      const url = await enterprise.start(
        { email: `${name}@${world.domain}` },
        { visitor: newBrowser(), next: undefined },
      )
      url.searchParams.delete('login_hint')
      for (const parameter of ['state', 'nonce', 'code_challenge'])
        url.searchParams.set(parameter, String(url.searchParams.get(parameter)?.length))
      shapes.push(url.href)
    }
    expect(shapes[0]).toBe(shapes[1])
    expect(shapes[0]).toContain('code_challenge_method=S256')
  })

  it('answers a domain without single sign-on, an unknown workspace and rubbish in the same way', async () => {
    const world = await workspace()
    const visitor = newBrowser()
    for (const by of [
      { email: 'a@nowhere.example' },
      { email: `a@sub.${world.domain}` },
      { email: 'rubbish' },
      { workspace: 'no-such-workspace' },
      { workspace: "x' OR 1=1" },
    ])
      await expect(enterprise.start(by, { visitor, next: undefined })).rejects.toMatchObject({
        code: 'request.invalid',
      })
  })

  it('refuses an address that the issuer did not verify, whatever it says instead', async () => {
    const world = await workspace()
    for (const email_verified of [false, undefined, 'true', 1, null]) {
      issuer.person = alice(world)
      issuer.claims = { email_verified }
      expect(await signIn(world)).toMatchObject(refused('email_unverified'))
    }
    expect(id.recorded.filter(({ action }) => action === 'person.sign_in_refused')).toHaveLength(5)
    expect(await db.app.global.person.count({ where: { emailCanonical: `alice@${world.domain}` } })).toBe(0)
  })

  it('refuses an address outside of the proven domains, and of a domain named but not proven', async () => {
    const world = await workspace()
    await domains.add(world.owner, 'named.example')
    for (const email of [
      'eve@evil.example',
      'eve@named.example',
      `eve@sub.${world.domain}`,
      `eve@${world.domain}.evil.example`,
    ]) {
      issuer.person = alice(world, { email })
      expect(await signIn(world)).toMatchObject(refused('domain_foreign'))
    }
  })

  it('never joins an account by its address: who has it signs in to it first, and links', async () => {
    const world = await workspace()
    const email = `ada@${world.domain}`
    const { personId } = await id.person(email)
    issuer.person = alice(world, { email })
    expect(await signIn(world)).toMatchObject(refused('account_exists'))

    const { session, browser } = await passwordSession(email)
    expect(await signIn(world, { browser, link: session })).toMatchObject(refused('not_a_member'))
    await id.members.add(world.owner, personId, 'member')
    expect(await signIn(world, { browser, link: session })).toMatchObject({ kind: 'linked' })
    expect((await signedIn(world)).ticket.personId).toBe(personId)
  })

  it('takes a changed subject for another person, in words of its own', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    await signedIn(world)
    issuer.person = alice(world, { sub: 'alice-again' })
    expect(await signIn(world)).toMatchObject(refused('subject_changed'))
  })

  it('takes the same subject at another issuer for another person, also where the first one is still known', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const { ticket } = await signedIn(world)
    const { issuer: address, clientId, clientSecret } = other
    await configs.save(world.owner, { issuer: address, clientId, clientSecret, joinRole: 'member' })
    other.register(world.config.redirectUri)
    // Everybody who came through the issuer of before is unlinked.
    expect(await configs.links(world.owner)).toEqual([])
    await db.adminQuery(
      'app',
      `INSERT INTO person_identity (id, person_id, tenant_id, provider, issuer, subject, label)
       VALUES ('idn_left_behind', $1, $2, 'oidc', $3, 'alice-at-issuer', 'x')`,
      [ticket.personId, world.tenantId, issuer.issuer],
    )
    other.person = alice(world, { email: `mallory@${world.domain}` })
    const mallory = await signedIn(world, { at: other })
    expect(mallory.ticket.personId).not.toBe(ticket.personId)
  })

  it('refuses to link somebody who is another at the issuer already, or whom another has', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const { ticket } = await signedIn(world)
    const email = `bob@${world.domain}`
    const { personId } = await id.person(email)
    await id.members.add(world.owner, personId, 'member')
    const bob = await passwordSession(email)
    expect(ticket.personId).not.toBe(personId)
    expect(await signIn(world, { browser: bob.browser, link: bob.session })).toMatchObject(refused('linked_to_other'))
    issuer.person = alice(world, { sub: 'bob', email })
    expect(await signIn(world, { browser: bob.browser, link: bob.session })).toMatchObject({ kind: 'linked' })
    issuer.person = alice(world, { sub: 'bob-2', email })
    expect(await signIn(world, { browser: bob.browser, link: bob.session })).toMatchObject(
      refused('other_subject_linked'),
    )
  })

  it('lets nobody in who was removed, until somebody adds them again', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const { ticket } = await signedIn(world)
    await id.members.remove(world.owner, ticket.personId)
    expect(await signIn(world)).toMatchObject(refused('not_a_member'))
    await id.members.add(world.owner, ticket.personId, 'member')
    await signedIn(world)
  })

  it('adds nobody where joining is closed', async () => {
    const world = await workspace(issuer, null)
    issuer.person = alice(world)
    expect(await signIn(world)).toMatchObject(refused('joining_closed'))
  })

  it('makes one person of twenty first sign-ins at once', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const begun = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const browser = newBrowser()
        const url = await enterprise.start({ workspace: world.slug }, { visitor: browser, next: undefined })
        return { browser, callback: await issuer.walk(url) }
      }),
    )
    const outcomes = await Promise.all(
      begun.map(({ browser, callback }) => enterprise.finish(world.config.id, callback.search, browser, undefined)),
    )
    const people = new Set(
      outcomes.map((one) => (one.kind === 'signed_in' ? one.ticket.personId : JSON.stringify(one))),
    )
    expect(people.size).toBe(1)
  })
})

describe('a return that is not what it seems', () => {
  /** Until the callback. */
  async function returned(world: World, browser: TestBrowser, at: TestIssuer = issuer): Promise<URL> {
    at.person = alice(world)
    return at.walk(await enterprise.start({ workspace: world.slug }, { visitor: browser, next: undefined }))
  }

  it('spends a state once, under twenty callbacks at once', async () => {
    const world = await workspace()
    const browser = newBrowser()
    const { search } = await returned(world, browser)
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => enterprise.finish(world.config.id, search, browser, undefined)),
    )
    expect(outcomes.filter(({ kind }) => kind === 'signed_in')).toHaveLength(1)
    expect(outcomes.filter((one) => one.kind === 'refused' && one.problem === 'state_invalid')).toHaveLength(19)
  })

  it('refuses another browser’s state and leaves it unspent', async () => {
    const world = await workspace()
    const browser = newBrowser()
    const { search } = await returned(world, browser)
    expect(await enterprise.finish(world.config.id, search, newBrowser(), undefined)).toMatchObject(
      refused('state_invalid'),
    )
    expect(await enterprise.finish(world.config.id, search, browser, undefined)).toMatchObject({ kind: 'signed_in' })
  })

  it('refuses a state that is missing, doubled, old or made up', async () => {
    const world = await workspace()
    const browser = newBrowser()
    const callback = await returned(world, browser)
    const state = callback.searchParams.get('state') ?? ''
    const without = new URLSearchParams(callback.search)
    without.delete('state')
    const cases = [without.toString(), `${callback.search}&state=${state}`, `?code=x&state=pcx_${'A'.repeat(43)}`, '']
    for (const search of cases)
      expect(await enterprise.finish(world.config.id, search, browser, undefined)).toMatchObject(
        refused('state_invalid'),
      )
    await db.app.global.$executeRaw`UPDATE sign_in_attempt SET expires_at = now() WHERE expires_at > now()`
    expect(await enterprise.finish(world.config.id, callback.search, browser, undefined)).toMatchObject(
      refused('state_invalid'),
    )
  })

  it('refuses a mix-up of two workspaces’ issuers, and sends the code to neither', async () => {
    const [mine, theirs] = [await workspace(issuer), await workspace(other)]
    const browser = newBrowser()
    const { search } = await returned(mine, browser)
    const before = [issuer.asked.length, other.asked.length]
    // Begun with one, answered at the address of the other.
    expect(await enterprise.finish(theirs.config.id, search, browser, undefined)).toMatchObject(
      refused('state_invalid'),
    )
    // Begun with one, answered by the other in its own name (RFC 9207).
    const second = await returned(mine, browser)
    second.searchParams.set('iss', other.issuer)
    expect(await enterprise.finish(mine.config.id, second.search, browser, undefined)).toMatchObject(
      refused('wrong_issuer'),
    )
    expect([issuer.asked.length, other.asked.length]).toEqual(before)
  })

  it('refuses a return without the issuer’s name from an issuer that says it gives it', async () => {
    const world = await workspace()
    const browser = newBrowser()
    const callback = await returned(world, browser)
    expect(callback.searchParams.get('iss')).toBe(issuer.issuer)
    callback.searchParams.delete('iss')
    expect(await enterprise.finish(world.config.id, callback.search, browser, undefined)).toMatchObject(
      refused('wrong_issuer'),
    )
  })

  it.each([
    ['another issuer', () => ({ iss: other.issuer }), 'wrong_issuer'],
    ['the issuer with a slash more', () => ({ iss: `${issuer.issuer}/` }), 'wrong_issuer'],
    ['another audience', () => ({ aud: 'somebody-else' }), 'wrong_audience'],
    ['several audiences and no authorized party', () => ({ aud: ['portcullis', 'another'] }), 'wrong_audience'],
    [
      'several audiences and another authorized party',
      () => ({ aud: ['portcullis', 'another'], azp: 'another' }),
      'wrong_audience',
    ],
    ['our audience and another authorized party', () => ({ azp: 'another' }), 'wrong_audience'],
    ['another nonce', () => ({ nonce: 'of an earlier sign-in' }), 'wrong_nonce'],
    ['no nonce', () => ({ nonce: undefined }), 'id_token_invalid'],
    ['a time that is over', () => ({ exp: Math.floor(Date.now() / 1000) - 120 }), 'id_token_expired'],
    ['no subject', () => ({ sub: undefined }), 'id_token_invalid'],
    ['a subject that is no text', () => ({ sub: 7 }), 'id_token_invalid'],
    ['a subject of other scripts', () => ({ sub: 'аlice-at-issuer' }), 'subject_missing'],
  ])('refuses an ID token with %s', async (_, claims, problem) => {
    const world = await workspace()
    issuer.claims = claims()
    issuer.person = alice(world)
    expect(await signIn(world)).toMatchObject(refused(problem))
  })

  it('takes one of several audiences when it names us as the party it was made for', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    issuer.claims = { aud: ['portcullis', 'another'], azp: 'portcullis' }
    expect(await signIn(world)).toMatchObject({ kind: 'signed_in' })
  })

  it('refuses an ID token that another key signed, that the client secret signed, or that nobody signed', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const { privateKey } = await generateKeyPair('RS256')
    const forgeries = [
      (claims: Record<string, unknown>) => issuer.sign(claims, { key: privateKey }),
      (claims: Record<string, unknown>) => issuer.sign(claims, { key: privateKey, kid: 'no-such-key' }),
      (claims: Record<string, unknown>) => issuer.sign(claims, { key: Buffer.from(issuer.clientSecret), alg: 'HS256' }),
      (claims: Record<string, unknown>) => Promise.resolve(new UnsecuredJWT(claims).encode()),
    ]
    for (const forge of forgeries) {
      issuer.idToken = forge
      const outcome = await signIn(world)
      expect(outcome).toMatchObject({ kind: 'refused' })
      expect(['signature_invalid', 'id_token_invalid']).toContain(outcome.kind === 'refused' ? outcome.problem : '')
    }
  })

  it('refuses who said no at the issuer', async () => {
    const world = await workspace()
    issuer.person = null
    expect(await signIn(world)).toMatchObject(refused('declined'))
  })

  it('refuses what was begun with a configuration that has changed since', async () => {
    const world = await workspace()
    const browser = newBrowser()
    const { search } = await returned(world, browser)
    await configs.save(world.owner, {
      issuer: issuer.issuer,
      clientId: 'another-client',
      clientSecret: 'x'.repeat(40),
      joinRole: 'member',
    })
    expect(await enterprise.finish(world.config.id, search, browser, undefined)).toMatchObject(
      refused('config_changed'),
    )
  })

  it('links only in the session that began it', async () => {
    const world = await workspace()
    const email = `link@${world.domain}`
    const { personId } = await id.person(email)
    await id.members.add(world.owner, personId, 'member')
    const mine = await passwordSession(email)
    issuer.person = alice(world, { email })
    const url = await enterprise.start(
      { workspace: world.slug },
      { visitor: mine.browser, next: undefined, link: mine.session },
    )
    const { search } = await issuer.walk(url)
    expect(await enterprise.finish(world.config.id, search, mine.browser, undefined)).toMatchObject(
      refused('session_changed'),
    )
  })
})

describe('the keys of an issuer', () => {
  const MINUTE = 61_000
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
  })
  afterEach(() => vi.useRealTimers())
  const pass = (milliseconds: number) => vi.setSystemTime(Date.now() + milliseconds)

  it('are fetched once for many sign-ins, and once more after it signs with another one', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const by = makeSteady()
    const before = issuer.keysAsked
    const fetched = () => issuer.keysAsked - before
    for (let n = 0; n < 3; n += 1) expect(await signIn(world, { by })).toMatchObject({ kind: 'signed_in' })
    expect(fetched()).toBe(1)

    await issuer.rotate()
    // Within a minute nobody is asked again, whatever a token names.
    expect(await signIn(world, { by })).toMatchObject(refused('signature_invalid'))
    expect(fetched()).toBe(1)
    pass(MINUTE)
    for (let n = 0; n < 3; n += 1) expect(await signIn(world, { by })).toMatchObject({ kind: 'signed_in' })
    expect(fetched()).toBe(2)
  })

  it('are asked for once a minute for tokens that name a key which never comes, and those are refused', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const by = makeSteady()
    const before = issuer.keysAsked
    issuer.idToken = (claims) => issuer.sign(claims, { kid: 'never-published' })
    for (let minute = 1; minute <= 3; minute += 1) {
      for (let n = 0; n < 4; n += 1) expect(await signIn(world, { by })).toMatchObject(refused('signature_invalid'))
      expect(issuer.keysAsked - before).toBe(minute)
      pass(MINUTE)
    }
  })
})

describe('an issuer that leaves the address out of its ID token', () => {
  it('is asked for it, and believed in the same measure', async () => {
    const world = await workspace(bare)
    bare.person = alice(world)
    const { secret } = await signedIn(world, { at: bare })
    expect(await member(secret)).toMatchObject({ tenantId: world.tenantId, role: 'member' })
    for (const [person, problem] of [
      [alice(world, { sub: 'b', email_verified: false }), 'email_unverified'],
      [alice(world, { sub: 'c', email_verified: 'true' }), 'email_unverified'],
      [alice(world, { sub: 'd', email: 'eve@evil.example' }), 'domain_foreign'],
      [{ sub: 'e' }, 'email_missing'],
    ] as const) {
      bare.person = person
      expect(await signIn(world, { at: bare })).toMatchObject(refused(problem))
    }
  })

  it('is refused when what it answers is about somebody else, and when it does not answer', async () => {
    const world = await workspace(bare)
    bare.person = alice(world)
    bare.userinfo = { sub: 'somebody-else' }
    expect(await signIn(world, { at: bare })).toMatchObject(refused('userinfo_failed'))
    bare.userinfo = { sub: undefined }
    expect(await signIn(world, { at: bare })).toMatchObject(refused('userinfo_failed'))
    bare.document = { userinfo_endpoint: `${bare.issuer}/nothing-here` }
    expect(await signIn(world, { at: bare })).toMatchObject(refused('userinfo_failed'))
    bare.document = { userinfo_endpoint: undefined }
    expect(await signIn(world, { at: bare })).toMatchObject(refused('email_missing'))
  })

  it('says nothing there that stands against its ID token', async () => {
    const world = await workspace(bare)
    bare.person = alice(world)
    bare.claims = { email_verified: false }
    expect(await signIn(world, { at: bare })).toMatchObject(refused('email_unverified'))
    bare.claims = {}
    bare.userinfo = { iss: other.issuer, aud: 'another' }
    expect(await signIn(world, { at: bare })).toMatchObject({ kind: 'signed_in' })
  })
})

describe('a session that came through an issuer', () => {
  it('opens that workspace and no other of the person', async () => {
    const world = await workspace()
    const email = `both@${world.domain}`
    const { personId, tenantId: ownTenant } = await id.person(email)
    await id.members.add(world.owner, personId, 'member')
    const mine = await passwordSession(email)
    issuer.person = alice(world, { email })
    await signIn(world, { browser: mine.browser, link: mine.session })
    const { secret, session } = await signedIn(world)
    expect(session.onlyTenantId).toBe(world.tenantId)
    expect(await member(secret)).toMatchObject({ tenantId: world.tenantId, onlyTenantId: world.tenantId })
    expect(await id.authenticator.chooseTenant(session, ownTenant, '10.0.0.1')).toBe(false)
    await db.app.global.$executeRaw`UPDATE web_session SET tenant_id = ${ownTenant} WHERE id = ${session.sessionId}`
    expect(await member(secret)).toMatchObject({ tenantId: world.tenantId })
  })

  it('ends with the configuration, with its issuer or client, and with the link', async () => {
    for (const end of ['remove', 'issuer', 'client', 'unlink'] as const) {
      const world = await workspace()
      issuer.person = alice(world)
      const { secret, ticket } = await signedIn(world)
      const input = { issuer: issuer.issuer, clientId: issuer.clientId, clientSecret: 'y'.repeat(40), joinRole: null }
      if (end === 'remove') await configs.remove(world.owner)
      if (end === 'issuer') await configs.save(world.owner, { ...input, issuer: other.issuer })
      if (end === 'client') await configs.save(world.owner, { ...input, clientId: 'another' })
      if (end === 'unlink') {
        const [link] = await configs.links(world.owner)
        expect(link?.personId).toBe(ticket.personId)
        const stranger = await workspace()
        await expect(configs.unlink(stranger.owner, ticket.personId)).rejects.toMatchObject({
          code: 'resource.not_found',
        })
        await configs.unlink(world.owner, link?.personId ?? '')
      }
      expect(await id.sessions.lookup(secret), end).toBeUndefined()
    }
  })
})

describe('enforced single sign-on', () => {
  it('is refused before anybody came through it', async () => {
    const world = await workspace()
    await expect(configs.enforce(world.owner, true)).rejects.toMatchObject({ code: 'resource.conflict' })
  })

  it('closes the workspace to the passwords of its domain, and to nobody else’s', async () => {
    const world = await workspace()
    const email = `pass@${world.domain}`
    const inside = await id.person(email)
    const guestEmail = `guest${worlds}@guests.example`
    const guest = await id.person(guestEmail)
    for (const { personId } of [inside, guest]) await id.members.add(world.owner, personId, 'member')
    issuer.person = alice(world)
    await signedIn(world)
    await configs.enforce(world.owner, true)

    const one = await passwordSession(email)
    expect(await id.authenticator.chooseTenant(one.session, world.tenantId, '10.0.0.1')).toBe(false)
    expect(await member(one.secret)).toMatchObject({ tenantId: inside.tenantId })
    const two = await passwordSession(guestEmail)
    expect(await id.authenticator.chooseTenant(two.session, world.tenantId, '10.0.0.1')).toBe(true)
    expect(await member(two.secret)).toMatchObject({ tenantId: world.tenantId })
    // Through the issuer it is open.
    expect(await member((await signedIn(world)).secret)).toMatchObject({ tenantId: world.tenantId })
  })

  it('ends what a password had open there, at the next look', async () => {
    const world = await workspace()
    const email = `open@${world.domain}`
    const { personId } = await id.person(email)
    await id.members.add(world.owner, personId, 'member')
    const one = await passwordSession(email)
    await id.authenticator.chooseTenant(one.session, world.tenantId, '10.0.0.1')
    issuer.person = alice(world)
    await signedIn(world)
    await configs.enforce(world.owner, true)
    expect(await member(one.secret)).not.toMatchObject({ tenantId: world.tenantId })
  })

  it('lets an owner back in by their own password and not by mail, and says so in the trail', async () => {
    const world = await workspace()
    const email = `boss@${world.domain}`
    const { personId } = await id.person(email)
    await id.members.add(world.owner, personId, 'owner')
    issuer.person = alice(world)
    await signedIn(world)
    await configs.enforce(world.owner, true)
    id.recorded.length = 0
    const one = await passwordSession(email)
    expect(await id.authenticator.chooseTenant(one.session, world.tenantId, '10.0.0.1')).toBe(true)
    expect(id.recorded).toContainEqual(
      expect.objectContaining({ action: 'sign_in.owner_way_back', tenantId: world.tenantId }),
    )
    await db.app.global.$executeRaw`UPDATE web_session SET method = 'magic_link' WHERE id = ${one.session.sessionId}`
    expect(await id.authenticator.chooseTenant(one.session, world.tenantId, '10.0.0.1')).toBe(false)
  })

  it('lets in at once who links where they have to', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    await signedIn(world)
    await configs.enforce(world.owner, true)
    const email = `late@${world.domain}`
    const { personId } = await id.person(email)
    await id.members.add(world.owner, personId, 'member')
    const one = await passwordSession(email)
    issuer.person = alice(world, { sub: 'late', email })
    expect(await signIn(world, { browser: one.browser, link: one.session })).toMatchObject({ kind: 'signed_in' })
  })
})

describe('setting it up', () => {
  it('is for owners and admins, and gives nobody a role above one’s own', async () => {
    const world = await workspace()
    for (const role of ['member', 'auditor'] as const)
      await expect(configs.find({ ...world.owner, role })).rejects.toMatchObject({ code: 'auth.forbidden' })
    await expect(configs.find({ ...world.owner, role: 'admin' })).resolves.toMatchObject({ issuer: issuer.issuer })
  })

  it('keeps the client secret sealed, and never lets it follow to another issuer or client', async () => {
    const world = await workspace()
    const row = await db.app.tenant(world.tenantId, (tx) =>
      tx.signInConfig.findUniqueOrThrow({ where: { tenantId: world.tenantId } }),
    )
    expect(Buffer.from(row.sealedSecret).includes(issuer.clientSecret)).toBe(false)
    const input = { issuer: issuer.issuer, clientId: issuer.clientId, joinRole: null }
    await expect(configs.save(world.owner, input)).resolves.toMatchObject({ joinRole: null })
    for (const change of [{ issuer: other.issuer }, { clientId: 'x' }])
      await expect(configs.save(world.owner, { ...input, ...change })).rejects.toMatchObject({ field: 'clientSecret' })
    expect(JSON.stringify(id.recorded)).not.toContain(issuer.clientSecret)
  })

  it('leaves one record of each change, of who made it and from where', async () => {
    const world = await workspace()
    const { owner } = world
    issuer.person = alice(world)
    await signedIn(world)
    await configs.enforce(owner, true)
    await configs.enforce(owner, false)
    await configs.save(owner, { issuer: issuer.issuer, clientId: issuer.clientId, joinRole: null })
    const [link] = await configs.links(owner)
    await configs.unlink(owner, link?.personId ?? '')
    await configs.remove(owner)
    await domains.remove(owner, world.domain)
    const changes = id.recorded.filter(
      ({ action, actor }) => action.startsWith('sign_in.') && actor.personId === owner.personId,
    )
    expect(changes.map(({ action }) => action).sort()).toEqual([
      'sign_in.config_added',
      'sign_in.config_changed',
      'sign_in.config_removed',
      'sign_in.domain_added',
      'sign_in.domain_removed',
      'sign_in.domain_verified',
      'sign_in.enforced',
      'sign_in.enforcement_ended',
      'sign_in.unlinked',
    ])
    for (const { actor, network } of changes)
      expect({ ...actor, network }).toEqual({
        kind: 'person',
        personId: owner.personId,
        webSessionId: owner.webSessionId,
        network: owner.network,
      })
  })

  it('says in order what holds and what does not', async () => {
    const world = await workspace()
    expect(await configs.check(world.owner)).toMatchObject({
      ok: true,
      steps: [{ name: 'discovery' }, { name: 'keys' }, { name: 'client' }, { name: 'domain' }],
    })
    await configs.save(world.owner, {
      issuer: issuer.issuer,
      clientId: issuer.clientId,
      clientSecret: 'wrong',
      joinRole: null,
    })
    expect((await configs.check(world.owner)).steps.at(-1)).toMatchObject({ name: 'client', problem: 'client_refused' })
    issuer.document = { issuer: other.issuer }
    expect((await configs.check(world.owner)).steps.at(-1)).toMatchObject({
      problem: 'issuer_mismatch',
      detail: other.issuer,
    })
    issuer.document = { id_token_signing_alg_values_supported: ['HS256', 'none'] }
    expect((await configs.check(world.owner)).steps.at(-1)).toMatchObject({ problem: 'algorithms_refused' })
    issuer.document = { jwks_uri: undefined }
    expect((await configs.check(world.owner)).steps.at(-1)).toMatchObject({ problem: 'endpoint_missing' })
    issuer.document = { token_endpoint: 'http://169.254.169.254/token' }
    expect((await configs.check(world.owner)).steps.at(-1)).toMatchObject({ problem: 'endpoint_refused' })
    issuer.document = { jwks_uri: `${issuer.issuer}/nothing-here` }
    expect((await configs.check(world.owner)).steps.at(-1)).toMatchObject({ problem: 'keys_unreadable' })
    issuer.document = { token_endpoint: 'https://10.0.0.1/token' }
    expect((await configs.check(world.owner)).steps.at(-1)).toMatchObject({ problem: 'token_endpoint_failed' })
  })

  it('reaches no private address by an issuer’s name', async () => {
    const { personId, tenantId } = await id.person('ssrf@example.com')
    const owner = principal(personId, tenantId, 'owner')
    const save = (address: string) =>
      configs.save(owner, { issuer: address, clientId: 'c', clientSecret: 's', joinRole: null })
    for (const address of [
      'http://127.0.0.1:1',
      'file:///etc/passwd',
      'https://a@b.example',
      'https://a.example/?x',
      'https://a.example/#x',
    ])
      await expect(save(address)).rejects.toMatchObject({ code: 'request.invalid', field: 'issuer' })
    for (const address of ['https://127.0.0.1', 'https://169.254.169.254', 'https://[::1]', 'https://10.0.0.1:8443']) {
      await save(address)
      expect(await configs.check(owner)).toMatchObject({ ok: false, steps: [{ problem: 'issuer_unreachable' }] })
    }
  })
})

describe('a domain', () => {
  it('is proven by the record and nothing like it', async () => {
    const world = await workspace()
    const domain = 'proof.example'
    const added = await domains.add(world.owner, ' Proof.Example. ')
    expect(added).toMatchObject({ domain, recordName: `_portcullis.${domain}`, verifiedAt: null })
    const verify = async () => (await domains.verify(world.owner, domain)).result
    expect(await verify()).toBe('record_missing')
    records.set(added.recordName, { kind: 'unknown' })
    expect(await verify()).toBe('no_answer')
    for (const text of [`${added.recordValue}x`, `x ${added.recordValue}`, added.recordValue.toUpperCase(), '']) {
      records.set(added.recordName, { kind: 'found', records: [text] })
      expect(await verify()).toBe('record_other')
    }
    records.set(added.recordName, { kind: 'found', records: ['other', added.recordValue] })
    expect(await verify()).toBe('verified')
  })

  it('is one workspace’s: another that proves it too is told so', async () => {
    const [one, two] = [await workspace(), await workspace()]
    const added = await domains.add(two.owner, one.domain)
    records.set(added.recordName, { kind: 'found', records: [added.recordValue] })
    expect(await domains.verify(two.owner, one.domain)).toMatchObject({ result: 'taken', domain: { verifiedAt: null } })
  })

  it('refuses what is none', async () => {
    const world = await workspace()
    for (const given of [
      'com',
      '10.0.0.1',
      'a b.example',
      '-a.example',
      'x'.repeat(250) + '.example',
      'exa_mple.com',
      '',
    ])
      await expect(domains.add(world.owner, given)).rejects.toMatchObject({ code: 'request.invalid' })
  })

  it('lapses a week after its record is gone, and not because the name servers are silent', async () => {
    const world = await workspace()
    const name = `_portcullis.${world.domain}`
    const recheck = async (answer: TxtAnswer) => {
      records.set(name, answer)
      await db.app.tenant(
        world.tenantId,
        (tx) => tx.$executeRaw`UPDATE sign_in_domain SET checked_at = now() - interval '25 hours'`,
      )
      await recheckDomains({ appDb: db.app, events: id.signInDeps.events, lookupTxt })
      return (await domains.list(world.owner))[0]
    }
    expect(await recheck({ kind: 'unknown' })).toMatchObject({ missingSince: null })
    const missing = await recheck({ kind: 'absent' })
    expect(missing?.missingSince).not.toBeNull()
    expect(missing?.verifiedAt).not.toBeNull()
    await db.app.tenant(
      world.tenantId,
      (tx) => tx.$executeRaw`UPDATE sign_in_domain SET missing_since = now() - interval '8 days'`,
    )
    expect((await recheck({ kind: 'unknown' }))?.verifiedAt).not.toBeNull()
    expect((await recheck({ kind: 'absent' }))?.verifiedAt).toBeNull()
    expect(id.recorded).toContainEqual(expect.objectContaining({ action: 'sign_in.domain_lapsed' }))
    issuer.person = alice(world)
    expect(await signIn(world)).toMatchObject(refused('domain_foreign'))
  })
})

it('gives every configuration an address of its own to return to', () => {
  expect(redirectUriOf(PUBLIC_URL, 'sic_1')).toBe('https://portcullis.test/signin/sso/callback/sic_1')
})

describe('proving it anew', () => {
  it('is asked of who just signed out in this browser, and an old proof is none', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const browser = newBrowser()
    const { session } = await signedIn(world, { browser })
    await id.signIn.signOut(session, browser.network)
    const start = (visitor: TestBrowser) => enterprise.start({ workspace: world.slug }, { visitor, next: undefined })
    expect((await start(newBrowser())).searchParams.get('prompt')).toBeNull()
    const again = await start(browser)
    expect([again.searchParams.get('prompt'), again.searchParams.get('max_age')]).toEqual(['login', '0'])
    issuer.claims = { auth_time: Math.floor(Date.now() / 1000) - 3_600 }
    const { search } = await issuer.walk(again)
    expect(await enterprise.finish(world.config.id, search, browser, undefined)).toMatchObject(refused('not_recent'))
  })

  it('counts from when the issuer asked, so that hours ago is no step-up now', async () => {
    const world = await workspace()
    issuer.person = alice(world)
    const at = Math.floor(Date.now() / 1000) - 3_600
    issuer.claims = { auth_time: at }
    expect((await signedIn(world)).session.authenticatedAt).toEqual(new Date(at * 1000))
  })
})
