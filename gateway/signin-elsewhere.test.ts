import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { signInCookies } from '@/lib/identity/cookies'
import type { WebSession } from '@/lib/identity/sessions'
import { brand, newId, newSecret } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { Secret } from '@/lib/secret'
import type { SignInOutcome, StartOptions } from '@/lib/sso/enterprise'

import { createGatewayServer, type GatewayServer } from './server'
import { createSignInElsewhereRoutes } from './signin-elsewhere'

/** The edge alone: who may begin, what a return leads to, and what stands in addresses and cookies. */
const PORT_ORIGIN = 'http://localhost'
let gateway: GatewayServer
let origin: string
let session: WebSession | undefined
let outcome: SignInOutcome | AppError
let isReady = true
const started: StartOptions[] = []
const ended: string[] = []
const SECRET = newSecret('pcw_')

const whole = (authenticatedAt = new Date()): WebSession => ({
  sessionId: newId('webSession'),
  personId: newId('person'),
  tenantId: null,
  authenticatedAt,
  onlyTenantId: null,
})

beforeAll(async () => {
  const deps = {
    cookies: signInCookies(PORT_ORIGIN),
    authenticator: { session: () => Promise.resolve(session) },
    signIn: { signOut: ({ sessionId }: WebSession) => Promise.resolve(void ended.push(sessionId)) },
    enterprise: {
      start: (_: unknown, options: StartOptions) => {
        started.push(options)
        return Promise.resolve(new URL('https://idp.example/authorize?state=x'))
      },
      finish: () => (outcome instanceof AppError ? Promise.reject(outcome) : Promise.resolve(outcome)),
    },
    social: {
      available: [{ name: 'google' as const, displayName: 'Google' }],
      start: () => Promise.resolve(new URL('https://accounts.google.com/o')),
      finish: () => Promise.resolve({ kind: 'refused' as const, problem: 'not_linked' as const, isLink: false }),
      links: () => Promise.resolve([]),
      unlink: () => Promise.resolve(),
    },
    isReady: () => isReady,
  }
  // The port is known only once it listens; the public URL has to be known before.
  const { createServer } = await import('node:http')
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await new Promise((resolve) => probe.close(resolve))
  origin = `${PORT_ORIGIN}:${port}`
  gateway = createGatewayServer({
    publicUrl: origin,
    publicUrlIsLoopback: true,
    trustedProxies: [],
    allowUpgrade: false,
    families: [createSignInElsewhereRoutes({ ...deps, publicUrl: origin })],
    web: undefined,
    readiness: () => Promise.resolve({ ready: true }),
    log: createLog('test', 'silent'),
  })
  await gateway.listen(port, '127.0.0.1')
})
afterAll(() => gateway.drain(100))
beforeEach(() => {
  session = undefined
  isReady = true
  outcome = { kind: 'refused', problem: 'state_invalid', isLink: false }
  started.length = 0
  ended.length = 0
})

const post = (path: string, body: unknown, headers: Readonly<Record<string, string>> = { origin }) =>
  fetch(`${origin}${path}`, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
const get = (path: string) => fetch(`${origin}${path}`, { redirect: 'manual' })
const CALLBACK = `/signin/sso/callback/${newId('signInConfig')}`

describe('beginning', () => {
  it('answers where to go, and gives the browser a name to come back with', async () => {
    const answer = await post('/signin/sso', { email: 'a@corp.example', next: '//evil.example' })
    expect(await answer.json()).toEqual({ location: 'https://idp.example/authorize?state=x' })
    expect(answer.headers.getSetCookie().join()).toMatch(
      /portcullis-browser=pcb_[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax/,
    )
    expect(started[0]).toMatchObject({ next: '/', renew: false })
  })

  it('takes no other site’s page, no form and no link', async () => {
    for (const path of ['/signin/sso', '/signin/with/google']) {
      expect((await post(path, {}, { origin: 'https://evil.example' })).status).toBe(403)
      expect((await post(path, {}, {})).status).toBe(403)
      const form = await fetch(`${origin}${path}`, { method: 'POST', headers: { origin }, body: new URLSearchParams() })
      expect(form.status).toBe(415)
      const answer = await get(path)
      expect([answer.status, answer.headers.get('location')]).toEqual([
        303,
        `${origin}/login${path === '/signin/sso' ? '/sso' : ''}`,
      ])
    }
    expect(started).toEqual([])
  })

  it('links only for whoever is there, themself, and proved it just now', async () => {
    const link = () => post('/signin/sso', { workspace: 'corp', link: true })
    expect((await link()).status).toBe(401)
    session = whole(new Date(Date.now() - 301_000))
    expect(await (await link()).json()).toMatchObject({ error: { code: 'auth.step_up_required' } })
    session = { ...whole(), onlyTenantId: brand('ten_x') }
    expect(await (await link()).json()).toMatchObject({ error: { code: 'auth.forbidden' } })
    session = whole()
    expect((await link()).status).toBe(200)
    expect(started[0]?.link).toBe(session)
  })

  it('asks whoever is here that way already to prove it anew', async () => {
    session = { ...whole(), onlyTenantId: brand('ten_x') }
    await post('/signin/sso', { workspace: 'corp' })
    expect(started[0]).toMatchObject({ renew: true })
  })

  it('begins nothing that could not be finished', async () => {
    isReady = false
    expect((await post('/signin/sso', { workspace: 'corp' })).status).toBe(503)
  })

  it('says which providers there are, and nothing else of them', async () => {
    expect(await (await get('/signin/available')).json()).toEqual({
      items: [{ name: 'google', displayName: 'Google' }],
    })
  })
})

describe('coming back', () => {
  it('ends in a redirect with a name for what went wrong, and nothing of the issuer’s', async () => {
    const answer = await get(`${CALLBACK}?code=c&state=s&error_description=%3Cscript%3E`)
    expect(answer.headers.get('location')).toBe(`${origin}/login?problem=state_invalid`)
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    outcome = { kind: 'refused', problem: 'linked_to_other', isLink: true }
    expect((await get(CALLBACK)).headers.get('location')).toBe(`${origin}/settings/account?problem=linked_to_other`)
    outcome = new AppError('request.rate_limited', 'Too many.')
    expect((await get(CALLBACK)).headers.get('location')).toBe(`${origin}/login?problem=too_many`)
    outcome = new AppError('service.unavailable', 'Not now.')
    expect((await get(CALLBACK)).headers.get('location')).toBe(`${origin}/login?problem=unavailable`)
  })

  it('leaves the session’s secret in an HttpOnly cookie for a minute, and ends the one before', async () => {
    session = whole()
    const before = session.sessionId
    const ticket = { personId: newId('person'), sessionId: newId('webSession'), secret: new Secret(SECRET) }
    outcome = { kind: 'signed_in', ticket: { ...ticket, isWaiting: false }, next: '/agents' }
    const answer = await get(`${CALLBACK}?code=c&state=s`)
    expect(answer.headers.get('location')).toBe(`${origin}/login/continue?next=%2Fagents`)
    expect(answer.headers.getSetCookie().join()).toContain(
      `portcullis-ticket=${SECRET}; Path=/; HttpOnly; SameSite=Lax; Max-Age=60`,
    )
    expect(ended).toEqual([before])
    outcome = { kind: 'signed_in', ticket: { ...ticket, isWaiting: true }, next: 'https://evil.example' }
    expect((await get(CALLBACK)).headers.get('location')).toBe(`${origin}/login/second-factor?next=%2F`)
  })

  it('is a GET of an address that exists', async () => {
    expect((await post(CALLBACK, {})).status).toBe(405)
    for (const path of [
      '/signin/sso/callback/x',
      '/signin/sso/callback/',
      '/signin/sso/other',
      '/signin/with/',
      `${CALLBACK}/more`,
    ])
      expect((await get(path)).status, path).toBe(404)
  })
})
