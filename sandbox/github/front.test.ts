import { request } from '@octokit/request'
import { RequestError } from '@octokit/request-error'
import * as oc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { consentAs } from '@/sandbox/browser'
import { connect, oauthError, REDIRECT_URI, start } from '@/sandbox/core/test-kit'
import { answerViolations, match } from '@/sandbox/github/openapi'
import { type SandboxHandle, startSandbox } from '@/sandbox/server'

const ANA = { account: 'ana-ribeiro' }
const BEN = { account: 'bokafor' }
const PLANNER = { owner: 'juniper-freight', repo: 'route-planner' }
const HANDBOOK = { owner: 'juniper-freight', repo: 'handbook' }

/** Time stands still unless a test moves it. */
const STARTED = new Date()
let sandbox: SandboxHandle
beforeAll(async () => {
  sandbox = await startSandbox({ clock: { now: () => STARTED }, redirectUris: { github: [REDIRECT_URI] } })
})
afterAll(() => sandbox.close())

const api = (token: string) =>
  request.defaults({ baseUrl: sandbox.github.url, headers: { authorization: `Bearer ${token}` } })

/** What the API refuses with. */
async function refusal(call: Promise<unknown>): Promise<{ status: number; body: Record<string, unknown> }> {
  try {
    await call
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    return { status: error.status, body: error.response?.data as Record<string, unknown> }
  }
  throw new Error('the call succeeded')
}

describe('authorization', () => {
  test('the callback carries code, state and the issuer, and the token answer the granted scopes with commas', async () => {
    const { callback, scope, tokens } = await connect(sandbox, 'github', ANA, ['repo', 'read:user', 'user:email'])
    expect(callback.searchParams.get('iss')).toBe(`${sandbox.github.url}/login/oauth`)
    expect(scope).toBe('repo,read:user,user:email')
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 28_800, refresh_token_expires_in: 15_897_600 })
    expect(tokens.access_token).toMatch(/^gho_/)
    expect(tokens.refresh_token).toMatch(/^ghr_/)
  })

  test('a refusal comes back as access_denied with the state', async () => {
    const { url, state, config, verifier } = await start(sandbox, 'github', ['repo', 'gist'])
    const callback = await consentAs(url, { ...BEN, decision: 'deny' })
    expect(callback.searchParams.get('state')).toBe(state)
    const grant = oc.authorizationCodeGrant(config, callback, { expectedState: state, pkceCodeVerifier: verifier })
    expect(await oauthError(grant)).toBe('access_denied')
  })

  test.each([
    ['another path', 'http://localhost:3000/connect/callback/x'],
    ['another port', 'http://localhost:3001/connect/callback'],
    ['a longer query', 'http://localhost:3000/connect/callback?x=1'],
  ])('never redirects to an address that is not registered exactly: %s', async (_, uri) => {
    const { url } = await start(sandbox, 'github', ['repo'], { redirect_uri: uri })
    await expect(consentAs(url, ANA)).rejects.toThrow('redirect_uri_mismatch')
  })

  test('an exchange that names another redirect address fails', async () => {
    const { url, config, state, verifier } = await start(sandbox, 'github', ['repo'])
    const callback = await consentAs(url, ANA)
    const moved = new URL(callback.href.replace('/connect/callback', '/elsewhere'))
    const grant = oc.authorizationCodeGrant(config, moved, { expectedState: state, pkceCodeVerifier: verifier })
    expect(await oauthError(grant)).toBe('redirect_uri_mismatch')
  })

  test('a wrong PKCE verifier obtains nothing and spends the code', async () => {
    const { url, config, state, verifier } = await start(sandbox, 'github', ['repo'])
    const callback = await consentAs(url, ANA)
    const wrong = { expectedState: state, pkceCodeVerifier: oc.randomPKCECodeVerifier() }
    expect(await oauthError(oc.authorizationCodeGrant(config, callback, wrong))).toBe('bad_verification_code')
    const right = { expectedState: state, pkceCodeVerifier: verifier }
    expect(await oauthError(oc.authorizationCodeGrant(config, callback, right))).toBe('bad_verification_code')
  })

  test('a missing verifier obtains nothing when a challenge was sent', async () => {
    const { url, config, state } = await start(sandbox, 'github', ['repo'])
    const callback = await consentAs(url, ANA)
    const grant = oc.authorizationCodeGrant(config, callback, { expectedState: state })
    expect(await oauthError(grant)).toBe('bad_verification_code')
  })

  test('the plain challenge method is refused', async () => {
    const { url, state } = await start(sandbox, 'github', ['repo'], { code_challenge_method: 'plain' })
    const callback = await consentAs(url, ANA)
    expect(callback.searchParams.get('error')).toBe('invalid_request')
    expect(callback.searchParams.get('state')).toBe(state)
  })

  test('a replayed code is refused and kills the tokens it obtained', async () => {
    const { url, config, state, verifier } = await start(sandbox, 'github', ['repo'])
    const callback = await consentAs(url, BEN)
    const checks = { expectedState: state, pkceCodeVerifier: verifier }
    const { access_token } = await oc.authorizationCodeGrant(config, callback, checks)
    await api(access_token)('GET /user')
    expect(await oauthError(oc.authorizationCodeGrant(config, callback, checks))).toBe('bad_verification_code')
    expect(await refusal(api(access_token)('GET /user'))).toMatchObject({ status: 401 })
  })

  test('a code is dead after ten minutes', async () => {
    const { url, config, state, verifier } = await start(sandbox, 'github', ['repo'])
    const callback = await consentAs(url, BEN)
    sandbox.control.advance(10 * 60_000)
    const grant = oc.authorizationCodeGrant(config, callback, { expectedState: state, pkceCodeVerifier: verifier })
    expect(await oauthError(grant)).toBe('bad_verification_code')
  })

  test('a wrong client secret is refused with a 200 and in the encoding that was asked for', async () => {
    const body = new URLSearchParams({ client_id: sandbox.github.clientId, client_secret: 'wrong', code: 'x' })
    const url = `${sandbox.github.url}/login/oauth/access_token`
    const asForm = await fetch(url, { method: 'POST', body })
    expect(asForm.status).toBe(200)
    expect(new URLSearchParams(await asForm.text()).get('error')).toBe('incorrect_client_credentials')
    const asJson = await fetch(url, { method: 'POST', body, headers: { accept: 'application/json' } })
    expect(asJson.status).toBe(200)
    expect(await asJson.json()).toMatchObject({ error: 'incorrect_client_credentials' })
  })

  test('a wrong issuer on the callback is noticed by the client, an absent one is not', async () => {
    const { url, config, state, verifier } = await start(sandbox, 'github', ['repo'])
    sandbox.control.setIss('github', 'wrong')
    const checks = { expectedState: state, pkceCodeVerifier: verifier }
    const mixedUp = await consentAs(url, ANA)
    await expect(oc.authorizationCodeGrant(config, mixedUp, checks)).rejects.toMatchObject({
      code: 'OAUTH_INVALID_RESPONSE',
    })
    sandbox.control.setIss('github', 'absent')
    expect((await consentAs(url, ANA)).searchParams.has('iss')).toBe(false)
    sandbox.control.setIss('github', 'right')
  })
})

describe('tokens', () => {
  test('a refresh kills the old access token and the old refresh token at once', async () => {
    const { config, accessToken, refreshToken } = await connect(sandbox, 'github', ANA, ['repo'])
    const next = await oc.refreshTokenGrant(config, refreshToken)
    expect(next.refresh_token).not.toBe(refreshToken)
    expect(await refusal(api(accessToken)('GET /user'))).toMatchObject({
      status: 401,
      body: { message: 'Bad credentials', status: '401' },
    })
    expect(await oauthError(oc.refreshTokenGrant(config, refreshToken))).toBe('bad_refresh_token')
    expect((await api(next.access_token)('GET /user')).status).toBe(200)
  })

  test('an access token is dead at the very instant it expires', async () => {
    const { accessToken } = await connect(sandbox, 'github', ANA, ['repo'])
    sandbox.control.advance(28_799_999)
    expect((await api(accessToken)('GET /user')).status).toBe(200)
    sandbox.control.advance(1)
    expect(await refusal(api(accessToken)('GET /user'))).toMatchObject({ status: 401 })
  })

  test('a refresh token is dead after six months', async () => {
    const { config, refreshToken } = await connect(sandbox, 'github', ANA, ['repo'])
    sandbox.control.advance(15_897_600_000)
    expect(await oauthError(oc.refreshTokenGrant(config, refreshToken))).toBe('bad_refresh_token')
  })

  test('an eleventh consent with the same scopes kills the oldest', async () => {
    const scopes = ['repo', 'workflow']
    const first = await connect(sandbox, 'github', BEN, scopes)
    for (let i = 0; i < 9; i += 1) await connect(sandbox, 'github', BEN, scopes)
    expect((await api(first.accessToken)('GET /user')).status).toBe(200)
    await connect(sandbox, 'github', BEN, scopes)
    expect(await refusal(api(first.accessToken)('GET /user'))).toMatchObject({ status: 401 })
  })

  test('a random bearer is nobody', async () => {
    expect(await refusal(api('gho_made-up')('GET /user'))).toMatchObject({ status: 401 })
    expect(await refusal(api('gho_made-up')('GET /repos/{owner}/{repo}', PLANNER))).toMatchObject({ status: 401 })
  })

  test('deleting the grant kills every token of that person and no other', async () => {
    const one = await connect(sandbox, 'github', ANA, ['repo'])
    const two = await connect(sandbox, 'github', ANA, ['gist'])
    const other = await connect(sandbox, 'github', BEN, ['repo'])
    const { clientId, clientSecret } = sandbox.github
    const authorization = `basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`
    const app = request.defaults({ baseUrl: sandbox.github.url, headers: { authorization } })
    const check = { client_id: clientId, access_token: one.accessToken }
    const checked = await app('POST /applications/{client_id}/token', check)
    expect(checked.data).toMatchObject({ scopes: ['repo'], user: { login: 'ana-ribeiro' } })
    const wrongSecret = `basic ${Buffer.from(`${clientId}:no`).toString('base64')}`
    const guess = app('DELETE /applications/{client_id}/grant', { ...check, headers: { authorization: wrongSecret } })
    expect(await refusal(guess)).toMatchObject({ status: 404 })

    expect((await app('DELETE /applications/{client_id}/grant', check)).status).toBe(204)
    expect(await refusal(api(one.accessToken)('GET /user'))).toMatchObject({ status: 401 })
    expect(await refusal(api(two.accessToken)('GET /user'))).toMatchObject({ status: 401 })
    expect(await oauthError(oc.refreshTokenGrant(one.config, one.refreshToken))).toBe('bad_refresh_token')
    expect((await api(other.accessToken)('GET /user')).status).toBe(200)
    expect(await refusal(app('POST /applications/{client_id}/token', check))).toMatchObject({ status: 404 })
  })

  test('an orphaned refresh token can be killed by whoever holds it', async () => {
    const { config, refreshToken } = await connect(sandbox, 'github', ANA, ['repo'])
    const anyone = request.defaults({ baseUrl: sandbox.github.url })
    const revoked = await anyone('POST /credentials/revoke', { credentials: [refreshToken] })
    expect(revoked.status).toBe(202)
    expect(await oauthError(oc.refreshTokenGrant(config, refreshToken))).toBe('bad_refresh_token')
  })

  test('a GitHub App token says no scope', async () => {
    const other = await startSandbox({ redirectUris: { github: [REDIRECT_URI] }, github: { mode: 'github_app' } })
    try {
      const { tokens } = await connect(other, 'github', ANA, ['repo'])
      expect(tokens).toMatchObject({ scope: '' })
      expect(tokens.access_token).toMatch(/^ghu_/)
    } finally {
      await other.close()
    }
  })
})

describe('API', () => {
  const tokenOf = async (scopes: string[]): Promise<string> =>
    (await connect(sandbox, 'github', ANA, scopes)).accessToken

  test('every answer satisfies GitHub’s own description', async () => {
    const gh = api(await tokenOf(['repo', 'user']))
    const answers = [
      ['GET', '/user', await gh('GET /user')],
      ['GET', '/user/emails', await gh('GET /user/emails')],
      ['GET', '/search/repositories', await gh('GET /search/repositories', { q: 'org:juniper-freight' })],
      ['GET', '/repos/a/b', await gh('GET /repos/{owner}/{repo}', PLANNER)],
      [
        'GET',
        '/repos/a/b/contents/f',
        await gh('GET /repos/{owner}/{repo}/contents/{path}', { ...PLANNER, path: 'src/plan.ts' }),
      ],
      ['GET', '/repos/a/b/contents/d', await gh('GET /repos/{owner}/{repo}/contents/{path}', { ...PLANNER, path: '' })],
      ['GET', '/repos/a/b/issues', await gh('GET /repos/{owner}/{repo}/issues', PLANNER)],
      [
        'GET',
        '/repos/a/b/issues/1',
        await gh('GET /repos/{owner}/{repo}/issues/{issue_number}', { ...PLANNER, issue_number: 1 }),
      ],
      [
        'POST',
        '/repos/a/b/issues',
        await gh('POST /repos/{owner}/{repo}/issues', { ...PLANNER, title: 'Checked', labels: ['bug'] }),
      ],
      [
        'POST',
        '/repos/a/b/issues/1/comments',
        await gh('POST /repos/{owner}/{repo}/issues/{issue_number}/comments', {
          ...PLANNER,
          issue_number: 1,
          body: 'Checked',
        }),
      ],
      [
        'GET',
        '/repos/a/b/issues/1/comments',
        await gh('GET /repos/{owner}/{repo}/issues/{issue_number}/comments', { ...PLANNER, issue_number: 1 }),
      ],
    ] as const
    for (const [method, path, { status, data }] of answers) {
      expect(answerViolations(match(method, path)!, status, data), `${method} ${path}`).toEqual([])
    }
  })

  test('a created issue is there for the next reader, with its author and label', async () => {
    const created = await api(await tokenOf(['repo']))('POST /repos/{owner}/{repo}/issues', {
      ...HANDBOOK,
      title: 'Buy more bells',
      body: 'Two are cracked.',
      assignees: ['bokafor'],
    })
    const ben = api((await connect(sandbox, 'github', BEN, ['repo'])).accessToken)
    const { data } = await ben('GET /repos/{owner}/{repo}/issues/{issue_number}', {
      ...HANDBOOK,
      issue_number: created.data.number,
    })
    expect(data).toMatchObject({
      title: 'Buy more bells',
      user: { login: 'ana-ribeiro' },
      assignee: { login: 'bokafor' },
    })
  })

  test('without the repo scope a private repository does not exist, for reading, searching and writing', async () => {
    const gh = api(await tokenOf(['public_repo']))
    expect(await refusal(gh('GET /repos/{owner}/{repo}', HANDBOOK))).toMatchObject({
      status: 404,
      body: { message: 'Not Found' },
    })
    expect(await refusal(gh('POST /repos/{owner}/{repo}/issues', { ...HANDBOOK, title: 'x' }))).toMatchObject({
      status: 404,
    })
    const found = await gh('GET /search/repositories', { q: 'org:juniper-freight' })
    expect(found.data.items.map((repo) => repo.name)).not.toContain('handbook')
    expect((await gh('POST /repos/{owner}/{repo}/issues', { ...PLANNER, title: 'Public' })).status).toBe(201)
  })

  test('without any repository scope nothing is written, not even in public', async () => {
    const gh = api(await tokenOf(['read:user']))
    expect((await gh('GET /repos/{owner}/{repo}', PLANNER)).status).toBe(200)
    const refused = await refusal(gh('POST /repos/{owner}/{repo}/issues', { ...PLANNER, title: 'x' }))
    expect(refused.status).toBe(404)
    expect(await refusal(gh('GET /user/emails'))).toMatchObject({ status: 404 })
  })

  test('the scopes of the token and those that would do are said in headers', async () => {
    const { headers } = await api(await tokenOf(['repo']))('GET /repos/{owner}/{repo}/issues', PLANNER)
    expect(headers['x-oauth-scopes']).toBe('repo')
    expect(headers['x-accepted-oauth-scopes']).toBe('repo')
    expect(headers['x-ratelimit-limit']).toBe('5000')
  })

  test.each([
    ['an unknown query parameter', 'GET /repos/{owner}/{repo}/issues', { ...PLANNER, colour: 'red' }],
    ['a value outside the enumeration', 'GET /repos/{owner}/{repo}/issues', { ...PLANNER, state: 'opened' }],
    ['a number that is not one', 'GET /repos/{owner}/{repo}/issues', { ...PLANNER, per_page: 'ten' }],
    ['an unknown body key', 'POST /repos/{owner}/{repo}/issues', { ...PLANNER, title: 'x', tags: ['a'] }],
    ['a mistyped body value', 'POST /repos/{owner}/{repo}/issues', { ...PLANNER, title: 'x', labels: 'bug' }],
    ['a missing body value', 'POST /repos/{owner}/{repo}/issues', { ...PLANNER, body: 'no title' }],
    ['a missing query parameter', 'GET /search/repositories', {}],
  ])('%s is a 422 in GitHub’s shape', async (_, route, parameters) => {
    const refused = await refusal(api(await tokenOf(['repo']))(route, parameters))
    expect(refused.status).toBe(422)
    expect(refused.body).toMatchObject({ message: 'Validation Failed', status: '422' })
    expect(refused.body['errors']).toHaveLength(1)
  })

  test('a wrong method, an unknown path and a body that is not JSON are refused', async () => {
    const token = await tokenOf(['repo'])
    expect(await refusal(api(token)('PUT /repos/{owner}/{repo}/issues', PLANNER))).toMatchObject({ status: 404 })
    expect(await refusal(api(token)('GET /repositories-of-mine'))).toMatchObject({ status: 404 })
    const response = await fetch(`${sandbox.github.url}/repos/juniper-freight/route-planner/issues`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
      body: '{"title":',
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ message: 'Problems parsing JSON' })
  })

  test('pages are linked on the API’s own address', async () => {
    const gh = api(await tokenOf(['repo']))
    const first = await gh('GET /repos/{owner}/{repo}/issues', { ...PLANNER, per_page: 1 })
    const next = /<([^>]+)>; rel="next"/.exec(first.headers.link ?? '')?.[1] ?? ''
    expect(next.startsWith(`${sandbox.github.url}/repos/juniper-freight/route-planner/issues?`)).toBe(true)
    const second = await gh({ method: 'GET', url: next })
    expect((second.data as { number: number }[])[0]?.number).not.toBe(first.data[0]?.number)
  })

  test('a spent rate limit is a 403 with nothing remaining, until the hour is over', async () => {
    const other = await startSandbox({ redirectUris: { github: [REDIRECT_URI] }, github: { rateLimitPerHour: 2 } })
    try {
      const { accessToken } = await connect(other, 'github', ANA, ['repo'])
      const gh = request.defaults({ baseUrl: other.github.url, headers: { authorization: `Bearer ${accessToken}` } })
      await gh('GET /user')
      await gh('GET /user')
      try {
        await gh('GET /user')
        expect.unreachable()
      } catch (error) {
        const response = (error as RequestError).response
        expect(response?.status).toBe(403)
        expect(response?.headers['x-ratelimit-remaining']).toBe('0')
      }
      other.control.advance(3_600_000)
      expect((await gh('GET /user')).status).toBe(200)
    } finally {
      await other.close()
    }
  })

  test('a call without User-Agent is refused before anything else', async () => {
    const { request: plain } = await import('node:http')
    const status = await new Promise<number>((resolve, reject) => {
      plain(`${sandbox.github.url}/user`, { headers: { authorization: 'Bearer x' } }, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(403)
  })
})
