import { ErrorCode, LogLevel, WebClient, type WebAPIPlatformError } from '@slack/web-api'
import * as oc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { consentAs } from '@/sandbox/browser'
import { connect, oauthError, REDIRECT_URI, start } from '@/sandbox/core/test-kit'
import { type SandboxHandle, startSandbox } from '@/sandbox/server'

const STARTED = new Date()
let sandbox: SandboxHandle
let ana: { account: string }
let ben: { account: string }
beforeAll(async () => {
  sandbox = await startSandbox({ clock: { now: () => STARTED }, redirectUris: { slack: [REDIRECT_URI] } })
  const { url } = await start(sandbox, 'slack', ['users:read'])
  const accounts = [...(await (await fetch(url)).text()).matchAll(/name="account"\s+value="(\w+)"/g)].map(
    (m) => m[1] ?? '',
  )
  ana = { account: accounts[0] ?? '' }
  ben = { account: accounts[1] ?? '' }
})
afterAll(() => sandbox.close())

const EVERYTHING = [
  'channels:read',
  'groups:read',
  'channels:history',
  'groups:history',
  'chat:write',
  'users:read',
  'users:read.email',
  'search:read',
]

const client = (token: string): WebClient =>
  new WebClient(token, {
    slackApiUrl: `${sandbox.slack.url}/api/`,
    retryConfig: { retries: 0 },
    rejectRateLimitedCalls: true,
    logLevel: LogLevel.ERROR,
  })

const isPlatformError = (error: unknown): error is WebAPIPlatformError =>
  error instanceof Error && 'code' in error && error.code === ErrorCode.PlatformError

async function refusal(call: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await call
  } catch (error) {
    if (!isPlatformError(error)) throw error
    return { ...error.data }
  }
  throw new Error('the call succeeded')
}

const webClientFor = async (who: { account: string }, scopes = EVERYTHING): Promise<WebClient> =>
  client((await connect(sandbox, 'slack', who, scopes)).accessToken)

async function channelNamed(web: WebClient, name: string): Promise<string> {
  const { channels } = await web.conversations.list({ types: 'public_channel,private_channel', limit: 200 })
  return channels?.find((channel) => channel.name === name)?.id ?? ''
}

/** Grants accumulate at Slack: a test that needs few scopes begins with none. */
const forget = (who: { account: string }): boolean => sandbox.control.revoke('slack', { userId: who.account })

describe('authorization', () => {
  test('the user flow gives a rotating user token inside authed_user and no bot token', async () => {
    const { tokens, callback } = await connect(sandbox, 'slack', ana, EVERYTHING)
    expect(callback.searchParams.has('iss')).toBe(false)
    expect(tokens.access_token).toMatch(/^xoxe\.xoxp-1-/)
    expect(tokens).toMatchObject({ expires_in: 43_200, slack: { ok: true, team: { name: 'Juniper Freight' } } })
    expect(tokens['slack']).not.toHaveProperty('access_token')
  })

  test('the install flow gives two tokens with two refresh chains', async () => {
    const { slackUrl, code, verifier } = await installCode()
    const body = new URLSearchParams({ code, code_verifier: verifier, redirect_uri: REDIRECT_URI, ...credentials() })
    const answer = (await (await fetch(`${slackUrl}/api/oauth.v2.access`, { method: 'POST', body })).json()) as Record<
      string,
      never
    >
    expect(answer).toMatchObject({
      ok: true,
      token_type: 'bot',
      scope: 'chat:write',
      authed_user: { token_type: 'user' },
    })
    const bot = client(String(answer['access_token']))
    expect(await bot.auth.test()).toMatchObject({ user: 'portcullis', team: 'Juniper Freight' })
    const refresh = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: String(answer['refresh_token']),
      ...credentials(),
    })
    const next: unknown = await (
      await fetch(`${slackUrl}/api/oauth.v2.access`, { method: 'POST', body: refresh })
    ).json()
    expect(next).toMatchObject({ ok: true, token_type: 'bot' })
  })

  async function installCode(): Promise<{ slackUrl: string; code: string; verifier: string }> {
    const { url, verifier } = await start(sandbox, 'slack', ['chat:write'], { user_scope: 'channels:read' })
    const install = new URL(url.href.replace('/oauth/v2_user/', '/oauth/v2/'))
    const callback = await consentAs(install, ana)
    return { slackUrl: sandbox.slack.url, code: callback.searchParams.get('code') ?? '', verifier }
  }
  const credentials = (): Record<string, string> => ({
    client_id: sandbox.slack.clientId,
    client_secret: sandbox.slack.clientSecret,
  })

  test('a code of one flow is nothing at the token endpoint of the other', async () => {
    const { code, verifier, slackUrl } = await installCode()
    const body = new URLSearchParams({ code, code_verifier: verifier, redirect_uri: REDIRECT_URI, ...credentials() })
    const answer = await fetch(`${slackUrl}/api/oauth.v2.user.access`, { method: 'POST', body })
    expect(await answer.json()).toEqual({ ok: false, error: 'invalid_code' })
  })

  test('a refusal comes back as access_denied with the state', async () => {
    const { url, state } = await start(sandbox, 'slack', EVERYTHING)
    const callback = await consentAs(url, { ...ben, decision: 'deny' })
    expect(Object.fromEntries(callback.searchParams)).toEqual({ error: 'access_denied', state })
  })

  test.each([
    ['an unregistered redirect address', { redirect_uri: `${REDIRECT_URI}?x` }, 'bad_redirect_uri'],
    ['an unknown scope', { scope: 'channels:everything' }, 'invalid_scope'],
    ['no scope', { scope: '' }, 'no_scopes'],
    ['an unknown client', { client_id: '1.2' }, 'invalid_client_id'],
  ])('%s ends on a page and never redirects', async (_, parameters, code) => {
    const { url } = await start(sandbox, 'slack', EVERYTHING, parameters)
    await expect(consentAs(url, ana)).rejects.toThrow(code)
  })

  test('a wrong PKCE verifier, a moved redirect address and a replayed code obtain nothing', async () => {
    const one = await start(sandbox, 'slack', EVERYTHING)
    const callback = await consentAs(one.url, ana)
    const wrong = { expectedState: one.state, pkceCodeVerifier: oc.randomPKCECodeVerifier() }
    expect(await oauthError(oc.authorizationCodeGrant(one.config, callback, wrong))).toBe('invalid_code_verifier')

    const two = await start(sandbox, 'slack', EVERYTHING)
    const second = await consentAs(two.url, ana)
    const checks = { expectedState: two.state, pkceCodeVerifier: two.verifier }
    const moved = new URL(second.href.replace('/connect/callback', '/elsewhere'))
    expect(await oauthError(oc.authorizationCodeGrant(two.config, moved, checks))).toBe('bad_redirect_uri')
    const { access_token } = await oc.authorizationCodeGrant(two.config, second, checks)
    expect(await oauthError(oc.authorizationCodeGrant(two.config, second, checks))).toBe('code_already_used')
    expect(await refusal(client(access_token).auth.test())).toMatchObject({ error: 'token_revoked' })
  })

  test.each([
    ['bad_client_secret', { client_secret: 'wrong' }],
    ['invalid_client_id', { client_id: 'wrong' }],
    ['invalid_grant_type', { grant_type: 'password' }],
    ['invalid_refresh_token', { refresh_token: 'xoxe-1-made-up' }],
  ])('the token endpoint answers %s with a 200', async (error, parameters) => {
    const body = new URLSearchParams({ grant_type: 'refresh_token', ...credentials(), ...parameters })
    const answer = await fetch(`${sandbox.slack.url}/api/oauth.v2.user.access`, { method: 'POST', body })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({ ok: false, error })
  })
})

describe('tokens', () => {
  test('a spent refresh token answers within its grace and never after it', async () => {
    const { config, refreshToken, accessToken } = await connect(sandbox, 'slack', ana, EVERYTHING)
    await oc.refreshTokenGrant(config, refreshToken)
    expect(await client(accessToken).auth.test()).toMatchObject({ ok: true })
    sandbox.control.advance(59_999)
    await oc.refreshTokenGrant(config, refreshToken)
    sandbox.control.advance(1)
    expect(await oauthError(oc.refreshTokenGrant(config, refreshToken))).toBe('invalid_refresh_token')
  })

  test('of three access tokens of one install only the last two live', async () => {
    const { config, refreshToken, accessToken } = await connect(sandbox, 'slack', ana, EVERYTHING)
    const second = await oc.refreshTokenGrant(config, refreshToken)
    expect(await client(accessToken).auth.test()).toMatchObject({ ok: true })
    const third = await oc.refreshTokenGrant(config, second.refresh_token ?? '')
    expect(await refusal(client(accessToken).auth.test())).toMatchObject({ error: 'token_revoked' })
    expect(await client(second.access_token).auth.test()).toMatchObject({ ok: true })
    expect(await client(third.access_token).auth.test()).toMatchObject({ ok: true, user: 'ana' })
  })

  test('an access token is expired at the very instant of its expiry', async () => {
    const { accessToken } = await connect(sandbox, 'slack', ana, EVERYTHING)
    sandbox.control.advance(43_199_999)
    expect(await client(accessToken).auth.test()).toMatchObject({ expires_in: 0 })
    sandbox.control.advance(1)
    expect(await refusal(client(accessToken).auth.test())).toMatchObject({ error: 'token_expired' })
  })

  test('auth.revoke kills the token it is called with, not its sibling, and a dry run nothing', async () => {
    const { accessToken, refreshToken, config } = await connect(sandbox, 'slack', ana, EVERYTHING)
    expect(await client(accessToken).auth.revoke({ test: true })).toMatchObject({ revoked: false })
    expect(await client(accessToken).auth.revoke()).toMatchObject({ revoked: true })
    expect(await refusal(client(accessToken).auth.test())).toMatchObject({ error: 'token_revoked' })
    expect(await refusal(client(accessToken).auth.revoke())).toMatchObject({ error: 'token_revoked' })
    const next = await oc.refreshTokenGrant(config, refreshToken)
    expect(await client(next.refresh_token ?? '').auth.revoke()).toMatchObject({ revoked: true })
    expect(await oauthError(oc.refreshTokenGrant(config, next.refresh_token ?? ''))).toBe('invalid_refresh_token')
  })

  test('a random token is nobody, and none at all is not authenticated', async () => {
    expect(await refusal(client('xoxe.xoxp-1-made-up').auth.test())).toMatchObject({ error: 'invalid_auth' })
    const bare = await fetch(`${sandbox.slack.url}/api/auth.test`, { method: 'POST' })
    expect(await bare.json()).toEqual({ ok: false, error: 'not_authed' })
  })
})

describe('Web API', () => {
  test('a message is posted, answered in its thread, found in the history and by the search', async () => {
    const web = await webClientFor(ana)
    const channel = await channelNamed(web, 'engineering')
    const posted = await web.chat.postMessage({ channel, text: 'The trailer arrives on Thursday' })
    const other = await webClientFor(ben)
    await other.chat.postMessage({ channel, text: 'I will make room', thread_ts: posted.ts ?? '' })

    const history = await other.conversations.history({ channel, limit: 1 })
    expect(history.messages?.[0]).toMatchObject({
      ts: posted.ts,
      user: ana.account,
      reply_count: 1,
      thread_ts: posted.ts,
    })
    const replies = await web.conversations.replies({ channel, ts: posted.ts ?? '' })
    expect(replies.messages?.map((m) => m.text)).toEqual(['The trailer arrives on Thursday', 'I will make room'])
    const found = await web.search.messages({ query: 'room from:ben in:engineering' })
    expect(found.messages?.matches?.map((m) => m.text)).toEqual(['I will make room'])
  })

  test('channels are paged by cursor without losing or repeating one', async () => {
    const web = await webClientFor(ana)
    const names: string[] = []
    let cursor: string | undefined
    do {
      const page = await web.conversations.list({
        types: 'public_channel,private_channel',
        limit: 2,
        ...(cursor === undefined ? {} : { cursor }),
      })
      names.push(...(page.channels ?? []).map((c) => c.name ?? ''))
      cursor = page.response_metadata?.next_cursor === '' ? undefined : page.response_metadata?.next_cursor
    } while (cursor !== undefined)
    expect(names.sort()).toEqual(['engineering', 'founders', 'general', 'operations', 'random'])
  })

  test('history keeps to its time window', async () => {
    const web = await webClientFor(ana)
    const channel = await channelNamed(web, 'operations')
    const all = (await web.conversations.history({ channel })).messages ?? []
    const [newest, , oldest] = all.map((m) => m.ts ?? '')
    const within = await web.conversations.history({ channel, oldest: oldest ?? '', latest: newest ?? '' })
    expect(within.messages).toHaveLength(1)
    const inclusive = await web.conversations.history({
      channel,
      oldest: oldest ?? '',
      latest: newest ?? '',
      inclusive: true,
    })
    expect(inclusive.messages).toHaveLength(3)
  })

  test('people are listed and looked up, their addresses only with the scope for them', async () => {
    forget(ben)
    const web = await webClientFor(ben, ['users:read'])
    const listed = await web.users.list({})
    expect(listed.members?.find((m) => m.name === 'chiara')?.profile).not.toHaveProperty('email')
    expect(await refusal(web.users.lookupByEmail({ email: 'ana@juniperfreight.example' }))).toMatchObject({
      error: 'missing_scope',
      needed: 'users:read.email',
      provided: 'users:read',
    })
    const wider = await webClientFor(ben, ['users:read', 'users:read.email'])
    const { user } = await wider.users.lookupByEmail({ email: 'ana@juniperfreight.example' })
    expect(user).toMatchObject({ id: ana.account, profile: { email: 'ana@juniperfreight.example' } })
    expect(await wider.users.info({ user: ana.account })).toMatchObject({ user: { real_name: 'Ana Ribeiro' } })
    expect(await refusal(wider.users.info({ user: 'U00' }))).toMatchObject({ error: 'user_not_found' })
  })

  test('each kind of conversation needs its own scope, for reading and for its history', async () => {
    forget(ben)
    const web = await webClientFor(ben, ['channels:read', 'channels:history', 'chat:write'])
    expect(await refusal(web.conversations.list({ types: 'public_channel,private_channel' }))).toMatchObject({
      error: 'missing_scope',
      needed: 'groups:read',
    })
    const founders = await channelNamed(await webClientFor(ana), 'founders')
    expect(await refusal(web.conversations.history({ channel: founders }))).toMatchObject({
      error: 'missing_scope',
      needed: 'groups:history',
    })
    expect(await refusal(web.search.messages({ query: 'x' }))).toMatchObject({
      error: 'missing_scope',
      needed: 'search:read',
    })
  })

  test('scopes only accumulate: asking for fewer does not shrink a grant', async () => {
    forget(ben)
    await connect(sandbox, 'slack', ben, ['users:read', 'chat:write'])
    const { scope } = await connect(sandbox, 'slack', ben, ['users:read'])
    expect(scope).toBe('users:read,chat:write')
  })

  test('forms and JSON say the same', async () => {
    const { accessToken } = await connect(sandbox, 'slack', ana, EVERYTHING)
    const channel = await channelNamed(client(accessToken), 'general')
    const send = async (type: string, body: string): Promise<unknown> => {
      const headers = { authorization: `Bearer ${accessToken}`, 'content-type': type }
      return (await fetch(`${sandbox.slack.url}/api/conversations.history`, { method: 'POST', headers, body })).json()
    }
    const asJson = await send('application/json; charset=utf-8', JSON.stringify({ channel, limit: 2, inclusive: true }))
    const asForm = await send('application/x-www-form-urlencoded', `channel=${channel}&limit=2&inclusive=true`)
    expect(asJson).toEqual(asForm)
    expect(asJson).toMatchObject({ ok: true })
    expect(await send('application/json', '{"channel":')).toEqual({ ok: false, error: 'invalid_json' })
    expect(await send('application/json', '[]')).toEqual({ ok: false, error: 'json_not_object' })
    expect(await send('text/plain', 'channel=x')).toEqual({ ok: false, error: 'invalid_post_type' })
  })

  test.each([
    [
      'an unknown argument',
      'conversations.history',
      { channel: 'C000000001', max: 3 },
      '[ERROR] unknown argument: max',
    ],
    ['a missing argument', 'conversations.history', {}, '[ERROR] missing required field: channel'],
    [
      'a mistyped argument',
      'conversations.history',
      { channel: 'C000000001', limit: 'ten' },
      '[ERROR] invalid value for: limit',
    ],
    ['an argument out of range', 'conversations.list', { limit: 1000 }, '[ERROR] invalid value for: limit'],
    ['an unknown kind of conversation', 'conversations.list', { types: 'secret' }, '[ERROR] invalid value for: types'],
  ])('%s is invalid_arguments and named', async (_, method, parameters, message) => {
    const web = await webClientFor(ana)
    expect(await refusal(web.apiCall(method, parameters))).toMatchObject({
      error: 'invalid_arguments',
      response_metadata: { messages: [message] },
    })
  })

  test.each([
    ['an unknown method', 'conversations.explode', {}, 'unknown_method'],
    ['an unknown channel', 'conversations.history', { channel: 'C0NOWHERE1' }, 'channel_not_found'],
    ['a channel by name', 'chat.postMessage', { channel: '#general', text: 'x' }, 'channel_not_found'],
    ['an empty message', 'chat.postMessage', { channel: 'C000000001' }, 'no_text'],
    ['an unknown thread', 'conversations.replies', { channel: 'C000000001', ts: '1.000001' }, 'thread_not_found'],
    [
      'a reply to nothing',
      'chat.postMessage',
      { channel: 'C000000001', text: 'x', thread_ts: '1.000001' },
      'cannot_reply_to_message',
    ],
    ['a made-up cursor', 'users.list', { cursor: 'abc' }, 'invalid_cursor'],
  ])('%s is answered in Slack’s words', async (_, method, parameters, error) => {
    expect(await refusal((await webClientFor(ana)).apiCall(method, parameters))).toMatchObject({ error })
  })

  test('a spent rate limit is a 429 with Retry-After', async () => {
    const other = await startSandbox({ redirectUris: { slack: [REDIRECT_URI] }, slack: { callsPerMinute: 1 } })
    try {
      const { accessToken } = await connect(other, 'slack', ana, ['users:read'])
      const list = () =>
        fetch(`${other.slack.url}/api/users.list`, {
          method: 'POST',
          headers: { authorization: `Bearer ${accessToken}` },
        })
      expect((await list()).status).toBe(200)
      const limited = await list()
      expect(limited.status).toBe(429)
      expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(await limited.json()).toEqual({ ok: false, error: 'ratelimited' })
    } finally {
      await other.close()
    }
  })
})
