import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createEgress, type Egress } from '@/lib/egress/egress'
import type { WebSession } from '@/lib/identity/sessions'
import type { ProviderClient } from '@/lib/providers/client'
import { createProviders } from '@/lib/providers/registry'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestBrowser, type TestIdentity } from '@/lib/testing/identity'
import { startTestIssuer, type TestIssuer } from '@/lib/testing/issuer'

import { createSocialSignIn, type SocialOutcome, type SocialSignIn } from './social'

const PUBLIC_URL = 'https://portcullis.test'
const GITHUB_TOKEN = 'gho_of-a-sign-in'

let db: TestDatabases
let id: TestIdentity
let google: TestIssuer
let egress: Egress
let social: SocialSignIn
let sandboxed: SocialSignIn
/** What the stand-in of GitHub says, and what it was told to forget. */
let githubSubject = '583231'
const revoked: string[] = []
const asked: (readonly string[])[] = []

beforeAll(async () => {
  db = await createTestDatabases({ max: 12 })
  id = createTestIdentity(db, { publicUrl: PUBLIC_URL })
  google = await startTestIssuer()
  google.register(`${PUBLIC_URL}/signin/with/google/callback`)
  const allow = [google.origin]
  egress = createEgress({ allow, allowUnsafe: true, production: false })
  const overrides = {
    issuer: google.issuer,
    authorizationEndpoint: `${google.issuer}/auth`,
    tokenEndpoint: `${google.issuer}/token`,
    jwksUri: `${google.issuer}/jwks`,
    userinfoEndpoint: `${google.issuer}/me`,
  }
  const made = createProviders({
    config: {
      production: false,
      egress: { allow, allowUnsafe: true },
      providers: {
        google: {
          clientId: google.clientId,
          clientSecret: new Secret(google.clientSecret),
          overrides,
          sandbox: false,
        },
        github: { clientId: 'github-client', clientSecret: new Secret('s'), overrides: {}, sandbox: true },
      },
    },
    egress,
    clock: systemClock,
  })
  const real = made.get('github')
  if (real === undefined) throw new Error('there is no GitHub')
  // GitHub has no ID token: who it is comes from its API, with a token that is given back at once.
  const github: ProviderClient = {
    ...real,
    authorizationUrl: (request) => {
      asked.push(request.scopes)
      return real.authorizationUrl(request)
    },
    exchangeCode: () =>
      Promise.resolve({
        kind: 'issued',
        identity: null,
        tokens: {
          accessToken: new Secret(GITHUB_TOKEN),
          refreshToken: null,
          accessExpiresAt: null,
          refreshExpiresAt: null,
          grantedScopes: ['read:user'],
        },
      }),
    identify: () =>
      Promise.resolve({
        kind: 'known',
        identity: { subject: githubSubject, label: 'octocat', email: null },
        grantedScopes: null,
      }),
    revoke: ({ accessToken }, scope) => {
      revoked.push(`${scope} ${accessToken?.reveal() ?? ''}`)
      return Promise.resolve({ kind: 'revoked' })
    },
  }
  const shared = {
    appDb: db.app,
    events: id.signInDeps.events,
    providers: { get: (name: string) => (name === 'github' ? github : made.get(name)) },
    sessions: id.sessions,
    limits: id.limits,
    publicUrl: PUBLIC_URL,
    log: { warn: () => undefined },
  }
  social = createSocialSignIn({ ...shared, allowSandbox: true })
  sandboxed = createSocialSignIn({ ...shared, allowSandbox: false })
})
afterAll(async () => {
  await egress.close()
  await google.close()
  await id.close()
  await db.close()
})
beforeEach(() => {
  google.claims = {}
  revoked.length = 0
})

async function signedInPerson(email: string) {
  const { personId, tenantId } = await id.person(email)
  const browser = newBrowser()
  const secret = await id.activate(await id.signIn.withPassword(email, PASSWORD, browser), browser)
  const session = await id.sessions.lookup(secret)
  if (session === undefined) throw new Error('there is no session')
  return { personId, tenantId, browser, session }
}

async function withGoogle(
  sub: string,
  options: { readonly browser?: TestBrowser; readonly link?: WebSession; readonly email?: string } = {},
): Promise<SocialOutcome> {
  const { browser = newBrowser(), link, email = 'anyone@example.com' } = options
  google.person = { sub, email, email_verified: true, name: 'Anyone' }
  const url = await social.start('google', {
    visitor: browser,
    next: '/agents',
    ...(link === undefined ? {} : { link }),
  })
  expect(url.searchParams.get('access_type')).toBeNull()
  expect(url.searchParams.get('prompt')).toBe('select_account')
  url.searchParams.delete('prompt') // which the stand-in does not know
  return social.finish('google', await google.walk(url), browser, link)
}

async function withGithub(options: { readonly browser?: TestBrowser; readonly link?: WebSession } = {}) {
  const { browser = newBrowser(), link } = options
  const url = await social.start('github', {
    visitor: browser,
    next: undefined,
    ...(link === undefined ? {} : { link }),
  })
  const back = new URL(`${PUBLIC_URL}/signin/with/github/callback?code=x`)
  back.searchParams.set('state', url.searchParams.get('state') ?? '')
  return social.finish('github', back, browser, link)
}

describe('a person’s own Google or GitHub account', () => {
  it('signs nobody in by its address, however verified', async () => {
    const { personId } = await id.person('owner-of-address@example.com')
    expect(await withGoogle('never-linked', { email: 'owner-of-address@example.com' })).toEqual({
      kind: 'refused',
      problem: 'not_linked',
      isLink: false,
    })
    expect(await social.links(personId)).toEqual([])
    expect(await withGoogle('never-linked', { email: 'nobody@example.com' })).toMatchObject({ problem: 'not_linked' })
  })

  it('is linked by who is signed in, and found by its subject whatever its address becomes', async () => {
    const ada = await signedInPerson('ada-google@example.com')
    expect(await withGoogle('g-1', { browser: ada.browser, link: ada.session })).toEqual({
      kind: 'linked',
      next: '/agents',
    })
    const outcome = await withGoogle('g-1', { email: 'quite@another.example' })
    expect(outcome).toMatchObject({ kind: 'signed_in', next: '/agents', ticket: { personId: ada.personId } })
    expect(id.recorded).toContainEqual(expect.objectContaining({ action: 'sign_in.linked', tenantId: ada.tenantId }))
    expect(await withGoogle('g-2')).toMatchObject({ problem: 'not_linked' })
  })

  it('belongs to one person, and a person has one of each kind', async () => {
    const [one, two] = [await signedInPerson('one@example.com'), await signedInPerson('two@example.com')]
    await withGoogle('g-one', { browser: one.browser, link: one.session })
    expect(await withGoogle('g-one', { browser: two.browser, link: two.session })).toMatchObject({
      problem: 'linked_to_other',
      isLink: true,
    })
    expect(await withGoogle('g-other', { browser: one.browser, link: one.session })).toMatchObject({
      problem: 'provider_linked',
    })
  })

  it('goes to one of two people who link it at the same moment', async () => {
    const people = [await signedInPerson('race-1@example.com'), await signedInPerson('race-2@example.com')]
    githubSubject = 'raced'
    const outcomes = await Promise.all(people.map(({ browser, session }) => withGithub({ browser, link: session })))
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['linked', 'refused'])
  })

  it('refuses a state twice, in another browser, at another provider and without its session', async () => {
    const ada = await signedInPerson('ada-state@example.com')
    const start = () => social.start('github', { visitor: ada.browser, next: undefined, link: ada.session })
    const back = (url: URL, provider = 'github') =>
      new URL(`${PUBLIC_URL}/signin/with/${provider}/callback?code=x&state=${url.searchParams.get('state') ?? ''}`)
    const url = await start()
    const refused = { kind: 'refused', problem: 'state_invalid' }
    expect(await social.finish('github', back(url), newBrowser(), ada.session)).toMatchObject(refused)
    expect(await social.finish('google', back(url, 'google'), ada.browser, ada.session)).toMatchObject(refused)
    expect(await social.finish('github', back(await start()), ada.browser, undefined)).toMatchObject({
      problem: 'session_changed',
    })
    githubSubject = 'stated'
    expect(await social.finish('github', back(url), ada.browser, ada.session)).toMatchObject({ kind: 'linked' })
    expect(await social.finish('github', back(url), ada.browser, ada.session)).toMatchObject(refused)
  })

  it('keeps no token: GitHub’s is given back whoever it was, and asks for no more than who it is', async () => {
    githubSubject = 'unknown-here'
    expect(await withGithub()).toMatchObject({ problem: 'not_linked' })
    expect(revoked).toEqual([`token ${GITHUB_TOKEN}`])
    expect(asked.at(-1)).toEqual(['read:user'])
  })

  it('refuses an answer of another issuer, audience or nonce', async () => {
    for (const claims of [{ iss: 'https://evil.example' }, { aud: 'another' }, { nonce: 'another' }]) {
      google.claims = claims
      expect(await withGoogle('g-1')).toMatchObject({ kind: 'refused', problem: 'answer_invalid' })
    }
  })

  it('is not linked from a session that an organization vouched for', async () => {
    const ada = await signedInPerson('ada-bound@example.com')
    const bound = { ...ada.session, onlyTenantId: ada.tenantId }
    await expect(social.start('github', { visitor: ada.browser, next: undefined, link: bound })).rejects.toMatchObject({
      code: 'auth.forbidden',
    })
  })

  it('is unlinked by its person alone, which ends what came that way', async () => {
    const ada = await signedInPerson('ada-unlink@example.com')
    const eve = await signedInPerson('eve-unlink@example.com')
    await withGoogle('g-unlink', { browser: ada.browser, link: ada.session })
    const browser = newBrowser()
    const outcome = await withGoogle('g-unlink', { browser })
    if (outcome.kind !== 'signed_in') throw new Error(outcome.kind)
    const secret = await id.activate(outcome.ticket, browser)
    const [link] = await social.links(ada.personId)
    await expect(social.unlink(eve.session, link?.id ?? '', '10.0.0.1')).rejects.toMatchObject({
      code: 'resource.not_found',
    })
    await social.unlink(ada.session, link?.id ?? '', '10.0.0.1')
    expect(await id.sessions.lookup(secret)).toBeUndefined()
    expect(await withGoogle('g-unlink')).toMatchObject({ problem: 'not_linked' })
  })

  it('of the sandbox opens nothing where strangers could be anybody', async () => {
    expect(sandboxed.available.map(({ name }) => name)).toEqual(['google'])
    expect(social.available.map(({ name }) => name)).toEqual(['google', 'github'])
    await expect(sandboxed.start('github', { visitor: newBrowser(), next: undefined })).rejects.toMatchObject({
      code: 'resource.not_found',
    })
  })
})
