import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import * as oc from 'openid-client'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { type Connected, connect, oauthError, REDIRECT_URI } from '@/sandbox/core/test-kit'
import { type SandboxHandle, type SandboxOptions, startSandbox } from '@/sandbox/server'

const STARTED = new Date()
const OPTIONS = {
  clock: { now: () => STARTED },
  redirectUris: { google: [REDIRECT_URI], github: [REDIRECT_URI], slack: [REDIRECT_URI] },
} satisfies SandboxOptions
const ANA = { account: 'ana-ribeiro' }
const MAIL = { account: 'ana@juniperfreight.example' }
const GMAIL = [
  'openid',
  'https://www.googleapis.com/auth/gmail.readonly',
  'https://www.googleapis.com/auth/gmail.compose',
]

const bearer = (token: string) => ({ authorization: `Bearer ${token}`, 'user-agent': 'test' })

describe('a restart', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sandbox-'))
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test('keeps ports, clients, grants, tokens, expiry, issues, drafts and messages, ids and times included', async () => {
    const first = await startSandbox({ ...OPTIONS, dataDir: folder })
    const github = await connect(first, 'github', ANA, ['repo'])
    const revoked = await connect(first, 'github', { account: 'bokafor' }, ['repo'])
    first.control.revoke('github', { userId: 'bokafor' })
    const google = await connect(first, 'google', MAIL, GMAIL)
    const slackAccount = await accountOf(first)
    const slack = await connect(first, 'slack', slackAccount, ['channels:read', 'channels:history', 'chat:write'])

    const created = await send(`${first.github.url}/repos/juniper-freight/route-planner/issues`, github, {
      title: 'Kept',
    })
    const raw = Buffer.from('To: a@b.example\r\nSubject: Kept\r\n\r\nKept.').toString('base64url')
    await send(`${first.google.url}/gmail/v1/users/me/drafts`, google, { message: { raw } })
    const posted = await send(`${first.slack.url}/api/chat.postMessage`, slack, { channel: 'C000000001', text: 'Kept' })
    const before = await everything(first, github, google, slack)
    await first.close()

    const second = await startSandbox({ ...OPTIONS, dataDir: folder })
    try {
      expect([second.github.url, second.google.url, second.slack.url]).toEqual([
        first.github.url,
        first.google.url,
        first.slack.url,
      ])
      expect(second.github).toEqual(first.github)
      expect(second.slack.signingSecret).toBe(first.slack.signingSecret)
      const after = await everything(second, github, google, slack)
      expect(after).toEqual(before)
      expect(JSON.stringify(after)).toContain(String(created['node_id']))
      expect(JSON.stringify(after)).toContain(String(posted['ts']))
      expect((await fetch(`${second.github.url}/user`, { headers: bearer(revoked.accessToken) })).status).toBe(401)
      const next = await oc.refreshTokenGrant(github.config, github.refreshToken)
      expect(await oauthError(oc.refreshTokenGrant(github.config, github.refreshToken))).toBe('bad_refresh_token')
      expect((await fetch(`${second.github.url}/user`, { headers: bearer(next.access_token) })).status).toBe(200)
      const again = await connect(second, 'google', MAIL, GMAIL)
      expect((again.tokens as oc.TokenEndpointResponse & oc.TokenEndpointResponseHelpers).claims()?.sub).toBe(
        '118300000000000000031',
      )
    } finally {
      await second.close()
    }
  }, 60_000)

  test('writes nothing that others on the machine may read', () => {
    const files = readdirSync(folder)
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) expect(statSync(path.join(folder, file)).mode & 0o077, file).toBe(0)
  })

  async function everything(
    sandbox: SandboxHandle,
    github: Connected,
    google: Connected,
    slack: Connected,
  ): Promise<unknown[]> {
    const get = async (url: string, { accessToken }: Connected): Promise<unknown> =>
      (await fetch(url, { headers: bearer(accessToken) })).json()
    return [
      await get(`${sandbox.github.url}/repos/juniper-freight/route-planner/issues?state=all`, github),
      await get(`${sandbox.github.url}/repos/juniper-freight/route-planner/contents/`, github),
      await get(`${sandbox.google.url}/gmail/v1/users/me/messages?labelIds=DRAFT`, google),
      await get(`${sandbox.google.url}/gmail/v1/users/me/profile`, google),
      await get(`${sandbox.slack.url}/api/conversations.history?channel=C000000001`, slack),
      await get(`${sandbox.slack.url}/api/conversations.list`, slack),
    ]
  }

  async function send(url: string, { accessToken }: Connected, body: unknown): Promise<Record<string, unknown>> {
    const headers = { ...bearer(accessToken), 'content-type': 'application/json' }
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
    expect(response.ok).toBe(true)
    return (await response.json()) as Record<string, unknown>
  }

  async function accountOf(sandbox: SandboxHandle): Promise<{ account: string }> {
    const url = new URL(`${sandbox.slack.url}/oauth/v2_user/authorize`)
    url.search = new URLSearchParams({
      client_id: sandbox.slack.clientId,
      redirect_uri: REDIRECT_URI,
      scope: 'users:read',
    }).toString()
    return { account: /name="account"\s+value="(\w+)"/.exec(await (await fetch(url)).text())?.[1] ?? '' }
  }
})

describe('control', () => {
  let sandbox: SandboxHandle
  beforeAll(async () => {
    sandbox = await startSandbox({ ...OPTIONS, controlPort: true })
  })
  afterAll(() => sandbox.close())
  beforeEach(() => {
    sandbox.control.clearFaults()
    sandbox.control.resetCounters()
    sandbox.control.setRotation('github', { mode: 'strict' })
  })
  const fresh = (): Promise<Connected> => connect(sandbox, 'github', ANA, ['repo'])
  const refreshRaw = (refreshToken: string): Promise<Response> =>
    fetch(`${sandbox.github.url}/login/oauth/access_token`, {
      method: 'POST',
      headers: { accept: 'application/json' },
      body: new URLSearchParams({
        client_id: sandbox.github.clientId,
        client_secret: sandbox.github.clientSecret,
        grant_type: 'refresh_token',
        refresh_token: refreshToken,
      }),
    })
  const tokensOf = async (response: Response): Promise<Record<string, unknown>> =>
    (await response.json()) as Record<string, unknown>
  const user = (token: string): Promise<Response> => fetch(`${sandbox.github.url}/user`, { headers: bearer(token) })

  test('static, grace, strict and family_revoke answer a second use of a refresh token differently', async () => {
    const second = async (connected: Connected): Promise<unknown> => {
      const first = await tokensOf(await refreshRaw(connected.refreshToken))
      const reply = await tokensOf(await refreshRaw(connected.refreshToken))
      const latest = await user(String(first['access_token']))
      return {
        rotated: first['refresh_token'] !== connected.refreshToken,
        error: reply['error'],
        latest: latest.status,
      }
    }
    sandbox.control.setRotation('github', { mode: 'static' })
    expect(await second(await fresh())).toEqual({ rotated: false, error: undefined, latest: 200 })
    sandbox.control.setRotation('github', { mode: 'grace', graceMs: 1000 })
    expect(await second(await fresh())).toMatchObject({ rotated: true, error: undefined })
    sandbox.control.setRotation('github', { mode: 'strict' })
    expect(await second(await fresh())).toEqual({ rotated: true, error: 'bad_refresh_token', latest: 200 })
    sandbox.control.setRotation('github', { mode: 'family_revoke' })
    expect(await second(await fresh())).toEqual({ rotated: true, error: 'bad_refresh_token', latest: 401 })
    expect(sandbox.control.counters('github').reuse).toBe(2)
  })

  test('a held answer proves that the rotation is committed before anybody knows it', async () => {
    const { refreshToken, accessToken } = await fresh()
    sandbox.control.inject({ provider: 'github', target: 'token', fault: { kind: 'hold' } })
    const lost = refreshRaw(refreshToken)
    await sandbox.control.whenHeld()
    expect((await user(accessToken)).status).toBe(401)
    expect(await tokensOf(await refreshRaw(refreshToken))).toMatchObject({ error: 'bad_refresh_token' })
    sandbox.control.release()
    expect((await user(String((await tokensOf(await lost))['access_token']))).status).toBe(200)
  })

  test('a reset after the commit loses the answer and keeps the rotation', async () => {
    const { refreshToken } = await fresh()
    sandbox.control.inject({ provider: 'github', target: 'token', fault: { kind: 'reset_after' } })
    await expect(refreshRaw(refreshToken)).rejects.toThrow()
    expect(await tokensOf(await refreshRaw(refreshToken))).toMatchObject({ error: 'bad_refresh_token' })
  })

  test.each([
    ['error_500', { kind: 'error_500' }, 500],
    ['html_502', { kind: 'html_502' }, 502],
    ['rate_limited', { kind: 'rate_limited', retryAfterS: 7 }, 429],
    ['error', { kind: 'error', status: 200, body: { error: 'temporarily_unavailable' } }, 200],
  ] as const)('%s strikes before the commit: the refresh token is still good', async (_, fault, status) => {
    const { refreshToken } = await fresh()
    sandbox.control.inject({ provider: 'github', target: 'token', fault })
    const struck = await refreshRaw(refreshToken)
    expect(struck.status).toBe(status)
    if (fault.kind === 'rate_limited') expect(struck.headers.get('retry-after')).toBe('7')
    expect(await tokensOf(await refreshRaw(refreshToken))).toHaveProperty('access_token')
  })

  test('a reset before the commit leaves the refresh token good', async () => {
    const { refreshToken } = await fresh()
    sandbox.control.inject({ provider: 'github', target: 'token', fault: { kind: 'reset_before' } })
    await expect(refreshRaw(refreshToken)).rejects.toThrow()
    expect(await tokensOf(await refreshRaw(refreshToken))).toHaveProperty('access_token')
  })

  test.each([
    [{ kind: 'expires_in', as: 'string' }, { expires_in: '28800' }],
    [{ kind: 'expires_in', as: 'zero' }, { expires_in: 0 }],
    [{ kind: 'refresh_token', as: 'null' }, { refresh_token: null }],
    [{ kind: 'scope', value: 'gist' }, { scope: 'gist' }],
  ] as const)('%j changes one field of a good answer', async (fault, expected) => {
    const { refreshToken } = await fresh()
    sandbox.control.inject({ provider: 'github', target: 'token', fault })
    expect(await tokensOf(await refreshRaw(refreshToken))).toMatchObject(expected)
  })

  test.each([
    [{ kind: 'expires_in', as: 'missing' }, 'expires_in'],
    [{ kind: 'refresh_token', as: 'missing' }, 'refresh_token'],
  ] as const)('%j leaves a field out', async (fault, field) => {
    const { refreshToken } = await fresh()
    sandbox.control.inject({ provider: 'github', target: 'token', fault })
    expect(await tokensOf(await refreshRaw(refreshToken))).not.toHaveProperty(field)
  })

  test('bodies can be form-encoded, huge, compressed beyond reason, or arrive byte by byte', async () => {
    const { refreshToken } = await fresh()
    const struck = async (fault: Parameters<typeof sandbox.control.inject>[0]['fault']): Promise<Response> => {
      sandbox.control.inject({ provider: 'github', target: 'token', fault })
      return refreshRaw(refreshToken)
    }
    expect((await struck({ kind: 'form_encoded' })).headers.get('content-type')).toContain('x-www-form-urlencoded')
    expect((await (await struck({ kind: 'huge', bytes: 10_000_000 })).text()).length).toBeGreaterThan(10_000_000)
    const bomb = await struck({ kind: 'gzip_bomb', bytes: 10_000_000 })
    expect(Number(bomb.headers.get('content-length'))).toBeLessThan(50_000)
    expect((await bomb.text()).length).toBeGreaterThan(10_000_000)
    expect(await tokensOf(await struck({ kind: 'drip', pauseMs: 1 }))).toHaveProperty('error')
  })

  test('an API answer can give the bearer back, in its body, its headers and its errors', async () => {
    const { accessToken } = await fresh()
    for (const where of ['body', 'header', 'error'] as const) {
      sandbox.control.inject({ provider: 'github', target: 'api', fault: { kind: 'echo_authorization', where } })
      const response = await user(accessToken)
      const seen = where === 'header' ? JSON.stringify([...response.headers]) : await response.text()
      expect(seen, where).toContain(accessToken)
    }
    const echo = await fetch(`${sandbox.github.url}/sandbox/echo?where=body`, { headers: bearer(accessToken) })
    expect(await echo.text()).toContain(accessToken)
  })

  test('faults strike the API too, as often as asked', async () => {
    const { accessToken } = await fresh()
    sandbox.control.inject({
      provider: 'github',
      target: 'api',
      times: 2,
      fault: { kind: 'rate_limited', retryAfterS: 3 },
    })
    expect([
      (await user(accessToken)).status,
      (await user(accessToken)).status,
      (await user(accessToken)).status,
    ]).toEqual([429, 429, 200])
  })

  test('fifty refreshes at once are all counted, one succeeds, and the journal knows every token', async () => {
    const { refreshToken } = await fresh()
    sandbox.control.resetCounters()
    const issuedBefore = sandbox.control.journal('github').length
    const answers = await Promise.all(Array.from({ length: 50 }, async () => tokensOf(await refreshRaw(refreshToken))))
    expect(answers.filter((answer) => 'access_token' in answer)).toHaveLength(1)
    const counters = sandbox.control.counters('github')
    expect(counters).toMatchObject({ tokenCalls: 50, refreshCalls: 50, reuse: 49, tokenInflight: 0 })
    expect(counters.refreshCallsByToken).toEqual({ [refreshToken]: 50 })
    expect(sandbox.control.journal('github')).toHaveLength(issuedBefore + 2)
  })

  test('API calls are counted by what their token was worth', async () => {
    const { accessToken } = await fresh()
    await user(accessToken)
    await user('gho_made-up')
    sandbox.control.ledgers.github.expire(accessToken)
    await user(accessToken)
    sandbox.control.revoke('github', { token: accessToken })
    await user(accessToken)
    await fetch(`${sandbox.github.url}/user`, { headers: { 'user-agent': 'test' } })
    expect(sandbox.control.counters('github').apiCallsByToken).toEqual({
      valid: 1,
      unknown: 1,
      expired: 1,
      revoked: 1,
      none: 1,
    })
  })

  test('the control answers over HTTP on a port of its own', async () => {
    const { accessToken } = await fresh()
    const post = async (verb: string, body: unknown): Promise<number> =>
      (await fetch(`${sandbox.controlUrl ?? ''}/_sim/${verb}`, { method: 'POST', body: JSON.stringify(body) })).status
    expect(await post('lifetimes', { provider: 'github', accessS: 5 })).toBe(200)
    expect((await fresh()).tokens.expires_in).toBe(5)
    expect(await post('lifetimes', { provider: 'github', accessS: 28_800 })).toBe(200)
    expect(await post('clock', { advance_s: 28_801 })).toBe(200)
    expect((await user(accessToken)).status).toBe(401)
    const counters = await fetch(`${sandbox.controlUrl ?? ''}/_sim/counters?provider=github`)
    expect(await counters.json()).toMatchObject({ apiCallsByToken: { expired: 1 } })
    expect(await post('fault', { provider: 'github', target: 'token', fault: { kind: 'html_502' } })).toBe(200)
    expect((await refreshRaw('x')).status).toBe(502)
    expect(await post('revoke', { provider: 'github', userId: ANA.account })).toBe(200)
    expect(await post('rotation', { provider: 'github', mode: 'sideways' })).toBe(400)
    expect((await fetch(`${sandbox.github.url}/_sim/counters?provider=github`, { headers: bearer('x') })).status).toBe(
      401,
    )
  })
})
