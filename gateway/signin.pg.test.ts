import http from 'node:http'
import type { AddressInfo } from 'node:net'

import NextAuth from 'next-auth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Connections } from '@/lib/connections/connections'
import { AppError } from '@/lib/errors'
import { createAuthOptions } from '@/lib/identity/next-auth'
import { requireRecent } from '@/lib/identity/step-up'
import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import type { PersonPrincipal } from '@/lib/tenancy/principal'
import { createAuthenticator } from '@/lib/testing/authenticator'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, PASSWORD, secretOf, type TestIdentity } from '@/lib/testing/identity'

import { createApi } from './api/route'
import { apiKeyRoutes } from './api/v1/api-keys'
import { createConnectRoutes } from './connect'
import { createOauthRoutes } from './oauth'
import { createWebProxy } from './proxy'
import { createGatewayServer, type GatewayServer } from './server'
import { createSignInRoutes } from './signin'

let db: TestDatabases
let id: TestIdentity
let gateway: GatewayServer
let web: http.Server
let origin: string
const counted: [string, string][] = []
const UID = 'a-request-under-way'
/** Who came back from a provider, as the flow was told. */
const returned: unknown[] = []

/** next-auth itself, with our options, behind the gateway as in the product; only the framework around it is missing. */
function startWeb(): Promise<number> {
  const options = () =>
    createAuthOptions({ reader: id.reader, cookies: id.cookies, secret: 'csrf', onFault: () => undefined })
  web = http.createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
      const url = new URL(request.url ?? '/', 'http://web')
      if (!url.pathname.startsWith('/api/auth/')) {
        response.end('<!doctype html>a page')
        return
      }
      const answer = {
        status: (code: number) => ((response.statusCode = code), answer),
        getHeader: (name: string) => response.getHeader(name),
        setHeader: (name: string, value: string | string[]) => (response.setHeader(name, value), answer),
        json: (body: unknown) => (
          response.setHeader('content-type', 'application/json'),
          response.end(JSON.stringify(body))
        ),
        send: (body: unknown) => answer.json(body),
        end: () => response.end(),
      }
      await (NextAuth as unknown as (...args: unknown[]) => Promise<void>)(
        // called as its pages-router handler is
        {
          method: request.method,
          headers: request.headers,
          cookies: Object.fromEntries(
            (request.headers.cookie ?? '')
              .split('; ')
              .map((part) => [part.slice(0, part.indexOf('=')), decodeURIComponent(part.slice(part.indexOf('=') + 1))]),
          ),
          query: {
            ...Object.fromEntries(url.searchParams),
            nextauth: url.pathname.slice('/api/auth/'.length).split('/'),
          },
          body: Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())),
        },
        answer,
        options(),
      )
    })()
  })
  return new Promise((resolve) => web.listen(0, '127.0.0.1', () => resolve((web.address() as AddressInfo).port)))
}

async function freePort(): Promise<number> {
  const probe = http.createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}

beforeAll(async () => {
  db = await createTestDatabases({ max: 24 })
  const port = await freePort()
  origin = `http://localhost:${port}`
  process.env['NEXTAUTH_URL'] = origin
  const log = createLog('test', 'silent')
  id = createTestIdentity(db, { publicUrl: origin })
  const webPort = await startWeb()
  gateway = createGatewayServer({
    publicUrl: origin,
    publicUrlIsLoopback: true,
    trustedProxies: ['127.0.0.1'],
    allowUpgrade: false,
    families: [
      createSignInRoutes({
        ...id,
        publicUrl: origin,
        noise: { count: (kind, source) => counted.push([kind, source]) > 0 },
      }),
      createApi(
        apiKeyRoutes(id),
        {},
        {
          publicUrl: origin,
          authenticate: (request) =>
            id.authenticator.member({
              cookie: request.raw.headers.cookie,
              authorization: request.raw.headers.authorization,
              network: request.network,
              address: request.network,
            }),
          isReady: () => true,
          onRefused: () => Promise.resolve(),
        },
      ),
      createConnectRoutes({
        publicUrl: origin,
        cookies: id.cookies,
        authenticator: id.authenticator,
        connections: {
          start: () => Promise.resolve({ location: 'https://provider.example/', attemptId: newId('connectAttempt') }),
          callback: (_provider: string, _url: URL, visitor: Parameters<Connections['callback']>[2]) => {
            returned.push(visitor.session?.personId)
            return Promise.resolve({ kind: 'problem', problem: 'other_browser' })
          },
        },
        providers: { list: () => [{ name: 'github' }] },
        isReady: () => true,
      } as unknown as Parameters<typeof createConnectRoutes>[0]), // who may begin is tried, not what begins
      createOauthRoutes({
        publicUrl: origin,
        server: { provider: { createContext: () => ({ cookies: { get: () => UID } }), on: () => undefined } },
        clients: {},
        consents: {
          describe: () => Promise.resolve({ kind: 'seen' }),
          answer: () => Promise.resolve({ next: '/approved' }),
        },
        authenticator: id.authenticator,
        isReady: () => true,
      } as unknown as Parameters<typeof createOauthRoutes>[0]), // who may answer is tried, not what is asked
    ],
    web: createWebProxy({ publicUrl: origin, webOrigin: `http://127.0.0.1:${webPort}`, log }),
    readiness: () => Promise.resolve({ ready: true }),
    log,
  })
  await gateway.listen(port, '127.0.0.1')
  await id.person('ada@example.com')
})
afterAll(async () => {
  delete process.env['NEXTAUTH_URL']
  await gateway.drain(100)
  web.closeAllConnections()
  await new Promise((resolve) => web.close(resolve))
  await id.close()
  await db.close()
})

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly text: string
  readonly setCookie: readonly string[]
  readonly headers: http.IncomingHttpHeaders
}

/** A browser: keeps cookies, sends Origin. Each has an address of its own, so that the limits of one test are its own. */
let browsers = 0
function newVisitor() {
  browsers += 1
  const address = `198.51.${browsers >> 8}.${browsers & 255}`
  const jar = new Map<string, string>()
  const send = (
    method: string,
    path: string,
    options: { body?: string | undefined; headers?: Record<string, string> } = {},
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = http.request(
        `${origin.replace('localhost', '127.0.0.1')}${path}`,
        {
          method,
          headers: {
            host: new URL(origin).host,
            'x-forwarded-for': address,
            ...(jar.size === 0 ? {} : { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') }),
            ...options.headers,
          },
        },
        (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => (text += chunk))
          response.on('end', () => {
            const setCookie = response.headers['set-cookie'] ?? []
            for (const line of setCookie) {
              const [pair = ''] = line.split(';')
              const name = pair.slice(0, pair.indexOf('='))
              const value = pair.slice(pair.indexOf('=') + 1)
              if (/Max-Age=0|Expires=Thu, 01 Jan 1970/i.test(line) || value === '') jar.delete(name)
              else jar.set(name, value)
            }
            let body: unknown
            try {
              body = JSON.parse(text)
            } catch {
              body = undefined
            }
            resolve({ status: response.statusCode ?? 0, body, text, setCookie, headers: response.headers })
          })
        },
      )
      request.on('error', reject)
      request.end(options.body)
    })
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    send('POST', path, {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', origin, 'sec-fetch-site': 'same-origin', ...headers },
    })
  /** What the page does after `{next}`: next-auth's own signIn('ticket'). */
  const redeem = async () => {
    const { csrfToken } = (await send('GET', '/api/auth/csrf')).body as { csrfToken: string }
    return send('POST', '/api/auth/callback/ticket', {
      body: new URLSearchParams({ csrfToken, callbackUrl: origin, json: 'true' }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin },
    })
  }
  const session = () => send('GET', '/api/auth/session')
  return { jar, send, post, redeem, session, address }
}

const cookieLine = (answer: Answer, name: string) => answer.setCookie.find((line) => line.startsWith(`${name}=`)) ?? ''

describe('signing in through gateway and next-auth', () => {
  it('works from the password to the session and back out, in both processes, and no address ever holds a secret', async () => {
    const visitor = newVisitor()
    const answer = await visitor.post('/signin/password', {
      email: 'ada@example.com',
      password: PASSWORD,
      next: '/connections?x=1',
    })
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ next: '/connections?x=1' })
    expect(cookieLine(answer, 'portcullis-ticket')).toMatch(
      /^portcullis-ticket=pcw_\S+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=60$/,
    )
    expect(cookieLine(answer, 'portcullis-browser')).toMatch(/HttpOnly; SameSite=Lax/)
    expect(answer.text).not.toContain('pcw_')
    expect((await visitor.session()).body).toEqual({})

    const redeemed = await visitor.redeem()
    expect(redeemed.status).toBe(200)
    expect(cookieLine(redeemed, 'next-auth.session-token')).toMatch(/HttpOnly; SameSite=Lax/i)
    expect(redeemed.text).not.toContain('pcw_')
    const secret = visitor.jar.get('next-auth.session-token')
    expect(secret).toBe(visitor.jar.get('portcullis-ticket'))
    const session = await visitor.session()
    expect((session.body as { sessionId: string }).sessionId).toMatch(/^ses_/)
    expect(session.text).not.toContain('pcw_')
    expect(await id.sessions.lookup(secret)).toBeDefined()

    const out = await visitor.post('/signin/sign-out', {})
    expect(out.body).toEqual({ next: '/login' })
    expect(visitor.jar.has('next-auth.session-token')).toBe(false)
    expect(await id.sessions.lookup(secret)).toBeUndefined()
    // A copy of the cookie opens nothing, and next-auth takes it away.
    visitor.jar.set('next-auth.session-token', secret ?? '')
    expect((await visitor.session()).body).toEqual({})
    expect(visitor.jar.has('next-auth.session-token')).toBe(false)
  })

  it('gives a thief of the ticket nothing without the browser it was made for', async () => {
    const visitor = newVisitor()
    await visitor.post('/signin/password', { email: 'ada@example.com', password: PASSWORD })
    const thief = newVisitor()
    thief.jar.set('portcullis-ticket', visitor.jar.get('portcullis-ticket') ?? '')
    thief.jar.set('portcullis-browser', `pcb_${'A'.repeat(43)}`)
    expect((await thief.redeem()).status).toBe(401)
    expect((await visitor.redeem()).status).toBe(200)
  })

  it('makes a new session at each sign-in and ends the one before in that browser', async () => {
    const visitor = newVisitor()
    await visitor.post('/signin/password', { email: 'ada@example.com', password: PASSWORD })
    await visitor.redeem()
    const before = visitor.jar.get('next-auth.session-token')
    await visitor.post('/signin/password', { email: 'ada@example.com', password: PASSWORD })
    await visitor.redeem()
    expect(visitor.jar.get('next-auth.session-token')).not.toBe(before)
    expect(await id.sessions.lookup(before)).toBeUndefined()
  })

  it('keeps the browser’s name, so that two tabs do not undo each other', async () => {
    const visitor = newVisitor()
    await visitor.post('/signin/magic-link', { email: 'ada@example.com' })
    const name = visitor.jar.get('portcullis-browser')
    const again = await visitor.post('/signin/magic-link', { email: 'ada@example.com' })
    expect(visitor.jar.get('portcullis-browser')).toBe(name)
    expect(again.setCookie).toEqual([])
  })

  it('lets a scanner open every link in a mail, and still works once for the person', async () => {
    await id.deliver()
    const visitor = newVisitor()
    await visitor.post('/signin/magic-link', { email: 'ada@example.com' })
    const secret = secretOf((await id.deliver())[0])
    const scanner = newVisitor()
    // A fragment is not sent; even a scanner that posts or that puts it into the path spends nothing.
    for (const path of [
      '/magic-link',
      `/magic-link/${secret}`,
      `/magic-link?secret=${secret}`,
      '/signin/magic-link/confirm',
    ])
      for (const method of ['GET', 'HEAD']) await scanner.send(method, path)
    expect((await scanner.post('/signin/link', { secret })).body).toEqual({
      purpose: 'magic_link',
      email: 'ada@example.com',
    })
    expect((await scanner.post('/signin/magic-link/confirm', { secret })).status).toBe(400)
    expect((await visitor.post('/signin/magic-link/confirm', { secret, next: '//evil.example' })).body).toEqual({
      next: '/',
    })
    expect((await visitor.redeem()).status).toBe(200)
    expect((await visitor.post('/signin/magic-link/confirm', { secret })).status).toBe(400)
  })

  it('answers byte for byte the same for known and unknown addresses', async () => {
    const bytes = async (path: string, body: Record<string, string>) => {
      const answer = await newVisitor().post(path, body)
      const changing = new Set(['date', 'x-request-id', 'set-cookie'])
      const headers = Object.entries(answer.headers).filter(([name]) => !changing.has(name))
      return JSON.stringify([
        answer.status,
        headers,
        answer.text,
        answer.setCookie.map((line) => line.replace(/=[^;]*/, '')),
      ])
    }
    for (const path of ['/signin/magic-link', '/signin/reset', '/signin/sign-up'])
      expect(await bytes(path, { email: 'ada@example.com' }), path).toBe(
        await bytes(path, { email: 'bob@example.com' }),
      )
    expect(await bytes('/signin/password', { email: 'ada@example.com', password: 'wrong' })).toBe(
      await bytes('/signin/password', { email: 'bob@example.com', password: 'wrong' }),
    )
  })
})

describe('a sign-in whose second factor is not given', () => {
  const consent = `/oauth/authorize/${UID}/consent`
  /** Every way in that takes a person's session, and what it answers. */
  async function entrances(visitor: ReturnType<typeof newVisitor>) {
    const statuses = {
      'reads the API': (await visitor.send('GET', '/api/v1/api-keys')).status,
      'makes an API key': (await visitor.post('/api/v1/api-keys', { name: 'Key', role: 'member' })).status,
      connects: (await visitor.post('/connect/github', {})).status,
      'sees a consent': (await visitor.send('GET', consent)).status,
      'gives a consent': (await visitor.post(consent, { decision: 'approve', proof: 'x' })).status,
      'refuses a consent': (await visitor.post(consent, { decision: 'deny' })).status,
      'proves itself again': (await visitor.post('/signin/step-up/methods', {})).status,
      'is a session to next-auth': Object.keys((await visitor.session()).body as object).length,
    }
    returned.length = 0
    await visitor.send('GET', '/connect/callback/github?code=x&state=y')
    const cookie = visitor.jar.get('next-auth.session-token')
    const pages = (await id.reader.find(cookie))?.personId
    return { statuses, comesBackAs: returned[0], pages }
  }

  it('opens nothing at any entrance but the second step, and everything after it', async () => {
    const { personId } = await id.person('grace@example.com')
    const device = createAuthenticator(origin)
    const credentials = { email: 'grace@example.com', password: PASSWORD }
    const first = newVisitor()
    await first.post('/signin/password', credentials)
    await first.redeem()
    const session = await id.sessions.lookup(first.jar.get('next-auth.session-token'))
    if (session === undefined) throw new Error('nobody is signed in')
    await id.signInMethods.addPasskey(
      session,
      'Phone',
      device.create(await id.signInMethods.askToAddPasskey(session)),
      '',
    )

    const visitor = newVisitor()
    const half = await visitor.post('/signin/password', { ...credentials, next: '/connections' })
    expect(half.body).toEqual({ next: '/login/second-factor?next=%2Fconnections' })
    await visitor.redeem()
    // next-auth takes a cookie away that is no session to it; whoever keeps a copy has nothing by that.
    const kept = visitor.jar.get('next-auth.session-token') ?? ''
    const before = await entrances(visitor)
    expect(before).toEqual({
      statuses: {
        'reads the API': 401,
        'makes an API key': 401,
        connects: 401,
        'sees a consent': 401,
        'gives a consent': 401,
        'refuses a consent': 401,
        'proves itself again': 401,
        'is a session to next-auth': 0,
      },
      comesBackAs: undefined,
      pages: undefined,
    })
    visitor.jar.set('next-auth.session-token', kept)
    expect((await visitor.post('/signin/second-factor/methods', {})).body).toEqual({
      methods: ['passkey', 'recovery_code'],
    })
    const options = (await visitor.post('/signin/second-factor/passkey', {})).body as { challenge: string }
    const whole = await visitor.post('/signin/second-factor', { passkey: device.get(options), next: '/connections' })
    expect(whole.body).toEqual({ next: '/connections' })
    await visitor.redeem()
    expect(await entrances(visitor)).toEqual({
      statuses: {
        'reads the API': 200,
        'makes an API key': 201,
        connects: 200,
        'sees a consent': 200,
        'gives a consent': 200,
        'refuses a consent': 200,
        'proves itself again': 200,
        'is a session to next-auth': 4,
      },
      comesBackAs: personId,
      pages: personId,
    })
    expect(visitor.jar.get('next-auth.session-token')).not.toBe(kept)

    // Signing out ends half a sign-in too.
    const leaver = newVisitor()
    await leaver.post('/signin/password', credentials)
    await leaver.redeem()
    const left = leaver.jar.get('next-auth.session-token')
    expect(await id.sessions.lookupWaiting(left)).toBeDefined()
    await leaver.post('/signin/sign-out', {})
    expect(await id.sessions.lookupWaiting(left)).toBeUndefined()
  })

  it('asks for a fresh proof where access is given: a key, an account, an agent; and not to refuse one', async () => {
    const visitor = newVisitor()
    await visitor.post('/signin/password', { email: 'ada@example.com', password: PASSWORD })
    await visitor.redeem()
    const session = await id.sessions.lookup(visitor.jar.get('next-auth.session-token'))
    await db.app.global.$executeRaw`
      UPDATE web_session SET authenticated_at = now() - interval '5 minutes' WHERE id = ${session?.sessionId ?? ''}`
    const stepUp = { error: { code: 'auth.step_up_required' } }
    for (const [path, body] of [
      ['/api/v1/api-keys', { name: 'Key', role: 'member' }],
      ['/connect/github', {}],
      [consent, { decision: 'approve', proof: 'x' }],
    ] as const)
      expect((await visitor.post(path, body)).body, path).toMatchObject(stepUp)
    expect((await visitor.post(consent, { decision: 'deny' })).status).toBe(200)
    expect((await visitor.send('GET', '/api/v1/api-keys')).status).toBe(200)
  })
})

describe('proving again who one is', () => {
  const signedIn = async () => {
    const visitor = newVisitor()
    await visitor.post('/signin/password', { email: 'ada@example.com', password: PASSWORD })
    await visitor.redeem()
    const cookie = [...visitor.jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const principal = async () => {
      const found = await id.authenticator.member({
        cookie,
        authorization: undefined,
        network: visitor.address,
        address: visitor.address,
      })
      if (found?.kind !== 'person') throw new Error('nobody is signed in')
      return found
    }
    const age = async () =>
      db.app.global.$executeRaw`
        UPDATE web_session SET authenticated_at = now() - interval '5 minutes' WHERE id = ${(await principal()).webSessionId}`
    return { visitor, principal, age }
  }
  const isRefused = (principal: PersonPrincipal) => {
    try {
      requireRecent(principal)
      return false
    } catch (error) {
      if (error instanceof AppError && error.code === 'auth.step_up_required') return true
      throw error
    }
  }

  it('takes the password, keeps the session, and makes it recent: five minutes after signing in it no longer is', async () => {
    const { visitor, principal, age } = await signedIn()
    expect(isRefused(await principal())).toBe(false)
    await age()
    expect(isRefused(await principal())).toBe(true)
    expect((await visitor.post('/signin/step-up/methods', {})).body).toEqual({ methods: ['password'] })
    const before = await principal()
    const wrong = await visitor.post('/signin/step-up', { password: 'wrong' })
    expect([wrong.status, wrong.body]).toMatchObject([400, { error: { code: 'request.invalid', field: 'password' } }])
    expect(isRefused(await principal())).toBe(true)
    expect((await visitor.post('/signin/step-up', { password: PASSWORD })).status).toBe(204)
    const after = await principal()
    expect(isRefused(after)).toBe(false)
    expect(after.webSessionId).toBe(before.webSessionId)
    expect(id.recorded.filter(({ action }) => action === 'person.reauthenticated')).toHaveLength(1)
  })

  it('is nothing for whoever has no session, and ten wrong passwords are enough for a thief of the cookie', async () => {
    for (const path of ['/signin/step-up/methods', '/signin/step-up'])
      expect((await newVisitor().post(path, path.endsWith('up') ? { password: PASSWORD } : {})).status, path).toBe(401)
    const { visitor, principal, age } = await signedIn()
    await age()
    const statuses: number[] = []
    for (let attempt = 0; attempt < 11; attempt += 1)
      statuses.push((await visitor.post('/signin/step-up', { password: 'wrong' })).status)
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 400), 429])
    expect((await visitor.post('/signin/step-up', { password: PASSWORD })).status).toBe(429)
    expect(isRefused(await principal())).toBe(true)
  })
})

describe('a request that is not one of our pages', () => {
  const paths = [
    '/signin/passkey',
    '/signin/passkey/options',
    '/signin/second-factor',
    '/signin/second-factor/methods',
    '/signin/second-factor/passkey',
    '/signin/step-up',
    '/signin/step-up/methods',
    '/signin/step-up/passkey',
    '/signin/password',
    '/signin/magic-link',
    '/signin/magic-link/confirm',
    '/signin/setup',
    '/signin/sign-up',
    '/signin/sign-up/confirm',
    '/signin/reset',
    '/signin/reset/confirm',
    '/signin/verify-email/confirm',
    '/signin/link',
    '/signin/sign-out',
  ]

  it.each(paths)(
    'is refused at %s: foreign origin, no origin, a form, another method, too much, unknown fields',
    async (path) => {
      const visitor = newVisitor()
      const json = { 'content-type': 'application/json' }
      expect((await visitor.post(path, {}, { origin: 'https://evil.example' })).status).toBe(403)
      expect((await visitor.post(path, {}, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
      expect((await visitor.send('POST', path, { body: '{}', headers: json })).status).toBe(403)
      const form = { origin, 'content-type': 'text/plain' }
      expect((await visitor.send('POST', path, { body: '{}', headers: form })).status).toBe(415)
      expect((await visitor.send('PUT', path, { body: '{}', headers: { ...json, origin } })).status).toBe(405)
      expect((await visitor.post(path, { email: 'x'.repeat(20_000) })).status).toBe(413)
      const unknown = await visitor.post(path, { __proto__x: 1, isAdmin: true })
      expect(unknown.status).toBe(400)
      const opened = await visitor.send('GET', path)
      expect([opened.status, opened.headers.location]).toEqual([303, `${origin}/login`])
    },
  )

  it('names the field that is wrong, and repeats no value', async () => {
    const answer = await newVisitor().post('/signin/password', { email: 'ada@example.com', password: 7 })
    expect(answer.body).toMatchObject({ error: { code: 'request.invalid', field: 'password' } })
    const extra = await newVisitor().post('/signin/password', { email: 'a@b.c', password: 'x', role: 'owner' })
    expect(extra.body).toMatchObject({ error: { field: 'role' } })
  })

  it('is 404 where there is nothing', async () => {
    for (const path of ['/signin/', '/signin/nothing', '/signin/__proto__', '/signin/password/'])
      expect((await newVisitor().post(path, {})).status, path).toBe(404)
  })

  it('is told when to come back after too many wrong passwords, from one address only', async () => {
    const visitor = newVisitor()
    const statuses: number[] = []
    for (let attempt = 0; attempt < 11; attempt += 1)
      statuses.push((await visitor.post('/signin/password', { email: 'lock@example.com', password: 'wrong' })).status)
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429])
    const refused = await visitor.post('/signin/password', { email: 'lock@example.com', password: 'wrong' })
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    const kinds = counted.filter(([, source]) => source === visitor.address).map(([kind]) => kind)
    expect(kinds).toEqual([
      ...Array.from({ length: 10 }, () => 'sign_in.auth.unauthenticated'),
      ...Array.from({ length: 2 }, () => 'sign_in.request.rate_limited'),
    ])
    expect((await newVisitor().post('/signin/password', { email: 'lock@example.com', password: 'wrong' })).status).toBe(
      401,
    )
  })
})
