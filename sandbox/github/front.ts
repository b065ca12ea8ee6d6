/**
 * GitHub as strict as GitHub: its authorization server for an OAuth App with expiring tokens, its token checks, and its
 * REST API behind them. Strict rotation: a refresh spends the refresh token and kills the old access token at once.
 *
 * Deviation on purpose: GitHub ignores unknown query parameters and body keys; here they are a 422, because a test
 * counterpart that ignores them hides typing errors.
 *
 * @see providers' documentation: "Authorizing OAuth apps", "Refreshing user access tokens", REST "OAuth authorizations"
 * @module
 */
import { type RegisteredApp, isClient } from '@/sandbox/core/app'
import { ConsentDesk } from '@/sandbox/core/consent'
import type { Control } from '@/sandbox/core/control'
import { echoed } from '@/sandbox/core/control'
import {
  basicCredentials,
  form,
  type Handler,
  html,
  type Incoming,
  isRecord,
  json,
  mediaType,
  parseJson,
  redirect,
  type Reply,
  single,
} from '@/sandbox/core/http'
import { type Grant, isChallenge, type Issued, type Ledger, random, type Token } from '@/sandbox/core/ledger'
import { homePage, problemPage } from '@/sandbox/core/pages'
import type { Violation } from '@/sandbox/core/schema'
import type { EmulatorPlane } from '@/sandbox/emulator/plane'
import { argumentViolations, match, type Match } from '@/sandbox/github/openapi'
import { EMAILS, PEOPLE, PUBLIC_VIEWER } from '@/sandbox/github/seed'

export type GithubMode = 'oauth_app' | 'github_app'

export interface GithubSettings {
  /** `oauth_app`: `gho_` tokens with scopes, which expire. `github_app`: `ghu_` tokens, whose `scope` is always empty. */
  mode: GithubMode
  /** Calls an hour and user; null lifts the limit. */
  rateLimitPerHour: number | null
}

const SCOPES: Readonly<Record<string, string>> = {
  repo: 'Read and write all your repositories, private ones included',
  public_repo: 'Read and write your public repositories',
  'read:user': 'Read your profile',
  user: 'Read and change your profile',
  'user:email': 'Read your e-mail addresses',
  'read:org': 'Read your organizations and teams',
  gist: 'Create gists',
  notifications: 'Read your notifications',
  workflow: 'Change workflow files',
  delete_repo: 'Delete repositories',
  security_events: 'Read and write security events',
}
/** Which scopes contain which: GitHub drops the ones that say nothing more. */
const INCLUDES: Readonly<Record<string, readonly string[]>> = {
  repo: ['public_repo', 'security_events'],
  user: ['read:user', 'user:email'],
}
const DOCS = 'https://docs.github.com/rest'
const OAUTH_DOCS =
  'https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/'
const API_VERSIONS = new Set(['2022-11-28', '2026-03-10'])

export interface GithubFront {
  readonly issuer: string
  readonly handle: Handler
}

export function createGithubFront(
  base: string,
  app: RegisteredApp,
  ledger: Ledger,
  control: Control,
  plane: EmulatorPlane,
  settings: GithubSettings,
): GithubFront {
  const issuer = `${base}/login/oauth`
  const desk = new ConsentDesk(
    {
      provider: 'github',
      appName: app.name,
      issuer,
      people: PEOPLE.map((p) => ({ id: p.login, name: p.name, detail: `@${p.login}` })),
      describe: (scope) => ({ words: SCOPES[scope] ?? scope, optional: false }),
      isKnown: (userId, request) => {
        const grant = ledger.liveGrant(userId)
        return grant !== undefined && request.scopes.every((scope) => covers(grant.scopes, [scope]))
      },
      accumulateScopes: true,
      refusal: {
        error: 'access_denied',
        error_description: 'The user has denied your application access.',
        error_uri:
          'https://docs.github.com/apps/managing-oauth-apps/troubleshooting-authorization-request-errors/#access-denied',
      },
      success: () => ({}),
    },
    ledger,
    control,
  )
  const windows = new Map<string, { used: number; resetsAt: number }>()

  function authorize(request: Incoming): Reply {
    const fields = single(request.query)
    if (fields === undefined) return problem('invalid_request', 'A parameter is given twice.')
    if (fields.get('client_id') !== app.clientId)
      return html(404, problemPage('github', 'not_found', 'There is no such application.'))
    const redirectUri = fields.get('redirect_uri') ?? [...app.redirectUris][0]
    if (redirectUri === undefined || !app.redirectUris.has(redirectUri)) {
      return problem('redirect_uri_mismatch', 'The redirect_uri is not associated with this application.')
    }
    const state = fields.get('state')
    const challenge = fields.get('code_challenge')
    if (challenge !== undefined && (fields.get('code_challenge_method') !== 'S256' || !isChallenge(challenge))) {
      return redirect(redirectUri, {
        error: 'invalid_request',
        error_description: 'Only the S256 code challenge method is supported.',
        state,
        iss: control.iss('github', issuer),
      })
    }
    const asked = (fields.get('scope') ?? '').split(/[\s,]+/).filter((scope) => scope in SCOPES)
    const scopes = settings.mode === 'github_app' ? [] : normalized(asked)
    return desk.open({
      redirectUri,
      state,
      scopes,
      challenge,
      offline: true,
      flow: 'user',
      account: fields.get('login'),
    })
  }

  function token(request: Incoming): Reply {
    const fields = mediaType(request) === 'application/json' ? jsonFields(request) : form(request)
    const asJson = (request.headers.accept ?? '').includes('application/json')
    const answer = (body: Record<string, string | number>): Reply =>
      asJson
        ? json(200, body, { 'cache-control': 'max-age=0, private, must-revalidate' })
        : {
            status: 200,
            headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
            body: new URLSearchParams(
              Object.entries(body).map(([k, v]): [string, string] => [k, String(v)]),
            ).toString(),
          }
    const failed = (error: string, description: string): Reply =>
      answer({ error, error_description: description, error_uri: `${OAUTH_DOCS}#${error.replaceAll('_', '-')}` })

    if (fields === undefined) return failed('invalid_request', 'The body is neither a form nor a JSON object.')
    if (!isClient(app, fields.get('client_id'), fields.get('client_secret'))) {
      return failed('incorrect_client_credentials', 'The client_id and/or client_secret passed are incorrect.')
    }
    const grantType = fields.get('grant_type') ?? 'authorization_code'
    if (grantType === 'refresh_token') {
      const presented = fields.get('refresh_token') ?? ''
      control.countRefresh('github', presented)
      const issued = ledger.refresh(presented)
      if (issued === undefined) {
        return failed('bad_refresh_token', 'The refresh token passed is incorrect or expired.')
      }
      return answer(tokenBody(issued))
    }
    if (grantType !== 'authorization_code') return failed('unsupported_grant_type', 'The grant type is not supported.')
    const code = ledger.redeem(fields.get('code') ?? '', fields.get('redirect_uri'), fields.get('code_verifier'), false)
    if (code === 'redirect') {
      return failed(
        'redirect_uri_mismatch',
        'The redirect_uri MUST match the registered callback URL for this application.',
      )
    }
    if (typeof code === 'string') return failed('bad_verification_code', 'The code passed is incorrect or expired.')
    const from = { grantId: code.grantId, family: code.value, scopes: code.scopes, flow: code.flow }
    const issued = ledger.issue(from, ledger.policy.accessLifetimeS !== undefined)
    ledger.capConsents(code.grantId, code.scopes)
    return answer(tokenBody(issued))
  }

  function tokenBody({ access, refresh, expiresInS }: Issued): Record<string, string | number> {
    const scope = settings.mode === 'github_app' ? '' : access.scopes.join(',')
    const { refreshLifetimeS } = ledger.policy
    return {
      access_token: access.value,
      ...(expiresInS === undefined ? {} : { expires_in: expiresInS }),
      ...(refresh === undefined ? {} : { refresh_token: refresh.value }),
      ...(refresh === undefined || refreshLifetimeS === undefined
        ? {}
        : { refresh_token_expires_in: refreshLifetimeS }),
      scope,
      token_type: 'bearer',
    }
  }

  /** `/applications/{client_id}/…`: authenticated by the application itself. */
  function applications(request: Incoming, matched: Match): Reply {
    const basic = basicCredentials(request)
    if (basic === undefined) return message(401, 'Requires authentication', matched)
    if (!isClient(app, basic.id, basic.secret) || matched.path.get('client_id') !== app.clientId) {
      return message(404, 'Not Found', matched)
    }
    const body = parseJson(request.body)
    const presented = isRecord(body) && typeof body['access_token'] === 'string' ? body['access_token'] : ''
    const { state, token: found, grant } = ledger.inspect(presented)
    if (state !== 'valid' || found === undefined || grant === undefined) return message(404, 'Not Found', matched)
    switch (matched.operation.operationId) {
      case 'apps/delete-token':
        ledger.revokeToken(found.value)
        return { status: 204 }
      case 'apps/delete-authorization':
        ledger.revokeGrant(grant.id)
        return { status: 204 }
      default:
        return json(200, authorization(found, grant))
    }
  }

  function authorization(found: Token, grant: Grant): Record<string, unknown> {
    const person = PEOPLE.find((p) => p.login === grant.userId)
    const at = new Date(found.issuedAt).toISOString()
    return {
      id: Number.parseInt(Buffer.from(found.value).toString('hex').slice(-8), 16),
      url: `${base}/authorizations/1`,
      scopes: found.scopes,
      token: found.value,
      token_last_eight: found.value.slice(-8),
      hashed_token: null,
      app: { client_id: app.clientId, name: app.name, url: base },
      note: null,
      note_url: null,
      updated_at: at,
      created_at: at,
      fingerprint: null,
      expires_at: found.expiresAt === undefined ? null : new Date(found.expiresAt).toISOString(),
      user: person === undefined ? null : simpleUser(base, person.login, person.id),
    }
  }

  function credentialsRevoke(request: Incoming, matched: Match): Reply {
    if (request.headers.authorization !== undefined)
      return message(403, 'Authenticated requests are not allowed', matched)
    const body = parseJson(request.body)
    const list = isRecord(body) && Array.isArray(body['credentials']) ? body['credentials'] : []
    for (const credential of list) {
      if (typeof credential === 'string') ledger.revokeToken(credential)
    }
    return json(202, {})
  }

  async function api(request: Incoming): Promise<Reply> {
    if ((request.headers['user-agent'] ?? '') === '') {
      return {
        status: 403,
        headers: { 'content-type': 'text/html; charset=utf-8' },
        body: 'Request forbidden by administrative rules. Please make sure your request has a User-Agent header.',
      }
    }
    const bearer = /^(?:bearer|token) +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
    const matched = match(request.method, request.path)
    if (matched?.template.startsWith('/applications/') === true) {
      const wrong = check(request, matched)
      return wrong ?? applications(request, matched)
    }
    if (matched?.template === '/credentials/revoke')
      return check(request, matched) ?? credentialsRevoke(request, matched)

    const anonymous = request.headers.authorization === undefined
    const { state, token: access, grant } = ledger.inspect(bearer ?? '')
    control.countApiToken('github', anonymous ? 'none' : state)
    if (!anonymous && state !== 'valid') return message(401, 'Bad credentials')
    const version = request.headers['x-github-api-version']
    if (version !== undefined && !API_VERSIONS.has(version)) {
      return message(400, `The API version '${version}' is not supported.`)
    }
    const granted = access === undefined ? [] : settings.mode === 'github_app' ? ['repo', 'user'] : access.scopes
    const limited = rateLimit(grant?.userId ?? 'anonymous')
    const accepted = matched === undefined ? [] : acceptedScopes(matched)
    const headers: Record<string, string> = {
      ...limited.headers,
      'x-github-request-id': random('', 10, 'hex').toUpperCase(),
      'x-github-media-type': 'github.v3; format=json',
      'x-github-api-version-selected': version ?? '2022-11-28',
      ...(anonymous || settings.mode === 'github_app'
        ? {}
        : {
            'x-oauth-scopes': granted.join(', '),
            'x-accepted-oauth-scopes': accepted.join(', '),
            'x-oauth-client-id': app.clientId,
          }),
    }
    const withHeaders = (reply: Reply): Reply => ({ ...reply, headers: { ...headers, ...reply.headers } })
    if (limited.exhausted) {
      return withHeaders(message(403, `API rate limit exceeded for user ID ${grant?.userId ?? 'anonymous'}.`))
    }
    if (request.path === '/sandbox/echo') return withHeaders(echoReply(request))
    if (matched === undefined) return withHeaders(message(404, 'Not Found'))
    const wrong = check(request, matched)
    if (wrong !== undefined) return withHeaders(wrong)
    return withHeaders(await operate(request, matched, grant?.userId, granted))
  }

  async function operate(
    request: Incoming,
    matched: Match,
    login: string | undefined,
    granted: readonly string[],
  ): Promise<Reply> {
    const { operationId } = matched.operation
    const person = PEOPLE.find((p) => p.login === login)
    if (operationId === 'users/list-emails-for-authenticated-user') {
      if (person === undefined) return message(401, 'Requires authentication', matched)
      if (!covers(granted, ['user:email'])) return message(404, 'Not Found', matched)
      return json(200, EMAILS[person.login])
    }
    const isWrite = request.method !== 'GET'
    if (person === undefined && (isWrite || operationId === 'users/get-authenticated')) {
      return message(401, 'Requires authentication', matched)
    }
    const viewer = person !== undefined && covers(granted, ['repo']) ? person.login : PUBLIC_VIEWER
    const target = request.path + (request.query.size === 0 ? '' : `?${request.query.toString()}`)
    if (isWrite) {
      // Whoever may not see the repository hears 404, and so does whoever may see it but holds no scope to write.
      const { path } = matched
      const repository = `/repos/${encodeURIComponent(path.get('owner') ?? '')}/${encodeURIComponent(path.get('repo') ?? '')}`
      const seen = await plane.read('github', { method: 'GET', target: repository, user: viewer })
      if (seen.status !== 200 || !covers(granted, ['public_repo'])) return message(404, 'Not Found', matched)
      const written = await plane.write('github', {
        method: request.method,
        target,
        user: person?.login ?? PUBLIC_VIEWER,
        body: request.body.toString('utf8'),
      })
      const { location } = written.headers
      return retold(written.status, written.body, matched, location === undefined ? {} : { location })
    }
    const user = operationId === 'users/get-authenticated' ? (person?.login ?? PUBLIC_VIEWER) : viewer
    const read = await plane.read('github', { method: 'GET', target, user })
    if (operationId === 'users/get-authenticated') return profile(read.body, granted)
    if (operationId === 'repos/get-content' && (request.headers.accept ?? '').includes('vnd.github.raw')) {
      return raw(read.status, read.body, matched)
    }
    const link = read.headers['link']?.replace(/<http:\/\/[^/>]+/g, `<${base}`)
    return retold(read.status, read.body, matched, link === undefined ? {} : { link })
  }

  /** The emulator's answer in GitHub's words: no existence is given away by a 403, and every error has its three fields. */
  function retold(status: number, text: string, matched: Match, headers: Record<string, string> = {}): Reply {
    if (status < 300) {
      const body = shaped(parseJson(text), base)
      const counts = { network_count: 0, subscribers_count: 3 }
      const isRepository = matched.operation.operationId === 'repos/get' && isRecord(body)
      return json(status, isRepository ? { ...body, ...counts } : body, headers)
    }
    if (status === 403 || status === 404) return message(404, 'Not Found', matched)
    if (status === 422) return invalid(matched, [])
    const body = parseJson(text)
    return message(status, isRecord(body) ? String(body['message']) : 'Server Error', matched)
  }

  function raw(status: number, text: string, matched: Match): Reply {
    const body = parseJson(text)
    if (status !== 200 || !isRecord(body) || typeof body['content'] !== 'string') return retold(status, text, matched)
    return {
      status: 200,
      headers: { 'content-type': 'application/vnd.github.raw+json; charset=utf-8' },
      body: Buffer.from(body['content'], 'base64'),
    }
  }

  /** The private half of a profile shows only to a token that may read it. */
  function profile(text: string, granted: readonly string[]): Reply {
    const body = parseJson(text)
    if (!isRecord(body)) return json(500, {})
    const shown = shaped(body, base)
    if (!covers(granted, ['read:user'])) return json(200, shown)
    const plan = { name: 'free', space: 976_562_499, private_repos: 10_000, collaborators: 0 }
    return json(200, {
      ...(isRecord(shown) ? shown : {}),
      private_gists: 0,
      total_private_repos: 2,
      owned_private_repos: 0,
      disk_usage: 1024,
      collaborators: 0,
      two_factor_authentication: true,
      plan,
    })
  }

  function rateLimit(user: string): { headers: Record<string, string>; exhausted: boolean } {
    const now = control.clock.nowMs()
    let window = windows.get(user)
    if (window === undefined || window.resetsAt <= now) {
      window = { used: 0, resetsAt: now + 3_600_000 }
      windows.set(user, window)
    }
    const limit = settings.rateLimitPerHour ?? 5000
    const exhausted = settings.rateLimitPerHour !== null && window.used >= limit
    if (!exhausted) window.used += 1
    return {
      exhausted,
      headers: {
        'x-ratelimit-limit': String(limit),
        'x-ratelimit-remaining': String(Math.max(0, limit - window.used)),
        'x-ratelimit-used': String(window.used),
        'x-ratelimit-reset': String(Math.ceil(window.resetsAt / 1000)),
        'x-ratelimit-resource': 'core',
      },
    }
  }

  return {
    issuer,
    handle: async (request) => {
      const fromPage = desk.handle(request)
      if (fromPage !== undefined) return fromPage
      switch (request.path) {
        case '/':
          return html(200, homePage('github'))
        case '/login/oauth/authorize':
          return request.method === 'GET' ? authorize(request) : notAllowed('GET')
        case '/login/oauth/access_token':
          if (request.method !== 'POST')
            return html(404, problemPage('github', 'not_found', 'This is not the web page you are looking for.'))
          return control.through('github', 'token', request, () => Promise.resolve(token(request)))
        case '/.well-known/oauth-authorization-server/login/oauth':
          return json(200, {
            issuer,
            authorization_endpoint: `${base}/login/oauth/authorize`,
            token_endpoint: `${base}/login/oauth/access_token`,
            response_types_supported: ['code'],
            grant_types_supported: ['authorization_code', 'refresh_token'],
            code_challenge_methods_supported: ['S256'],
            token_endpoint_auth_methods_supported: ['client_secret_post'],
          })
        default: {
          const revokes = request.path.startsWith('/applications/') || request.path === '/credentials/revoke'
          return control.through('github', revokes ? 'revoke' : 'api', request, () => api(request))
        }
      }
    },
  }
}

const problem = (code: string, words: string): Reply => html(400, problemPage('github', code, words))
const notAllowed = (allow: string): Reply => ({ status: 405, headers: { allow }, body: 'Method Not Allowed' })

function message(status: number, text: string, matched?: Match): Reply {
  return json(status, {
    message: text,
    documentation_url: matched?.operation.documentationUrl ?? DOCS,
    status: String(status),
  })
}

const CODES: Readonly<Record<Violation['rule'], string>> = {
  type: 'invalid',
  missing: 'missing_field',
  unknown: 'invalid',
  enum: 'invalid',
  format: 'invalid',
  range: 'invalid',
  choice: 'invalid',
}

function invalid(matched: Match, violations: readonly Violation[]): Reply {
  const resource = matched.operation.operationId.split('/')[0] === 'issues' ? 'Issue' : 'Search'
  return json(422, {
    message: 'Validation Failed',
    errors: violations.map(({ at, rule }) => ({
      resource,
      field: at,
      code: CODES[rule],
      ...(rule === 'unknown' ? { message: `"${at}" is not a permitted key.` } : {}),
    })),
    documentation_url: matched.operation.documentationUrl ?? DOCS,
    status: '422',
  })
}

function check(request: Incoming, matched: Match): Reply | undefined {
  let body: unknown
  if (request.body.length > 0) {
    body = parseJson(request.body)
    if (body === undefined) return message(400, 'Problems parsing JSON', matched)
    if (!isRecord(body)) return message(400, 'Body should be a JSON object', matched)
  }
  const found = argumentViolations(matched, request.query, body)
  return found.length === 0 ? undefined : invalid(matched, found)
}

function acceptedScopes({ operation }: Match): string[] {
  switch (operation.operationId) {
    case 'users/list-emails-for-authenticated-user':
      return ['user', 'user:email']
    case 'issues/create':
    case 'issues/create-comment':
      return ['public_repo', 'repo']
    case 'users/get-authenticated':
    case 'search/repos':
      return []
    default:
      return ['repo']
  }
}

/** Does this set of scopes contain each of those, directly or through a wider one? */
export function covers(granted: readonly string[], needed: readonly string[]): boolean {
  const held = new Set(granted.flatMap((scope) => [scope, ...(INCLUDES[scope] ?? [])]))
  return needed.every((scope) => held.has(scope))
}

function normalized(scopes: readonly string[]): string[] {
  const contained = new Set(scopes.flatMap((scope) => INCLUDES[scope] ?? []))
  return [...new Set(scopes)].filter((scope) => !contained.has(scope))
}

function jsonFields(request: Incoming): Map<string, string> | undefined {
  const body = parseJson(request.body)
  if (!isRecord(body)) return undefined
  return new Map(
    Object.entries(body).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value] as const] : [])),
  )
}

function echoReply(request: Incoming): Reply {
  const where = request.query.get('where')
  const reply = json(200, { message: 'You sent', body: null })
  return echoed(reply, where === 'header' || where === 'error' ? where : 'body', request.headers.authorization ?? '')
}

/**
 * Where the emulator's bodies fall short of GitHub's description: times carry no fractions, an organization that owns or
 * acts has the fields of a user, and a search result has a score.
 */
function shaped(value: unknown, base: string): unknown {
  if (Array.isArray(value)) return value.map((item) => shaped(item, base))
  if (!isRecord(value)) return value
  const { login, id } = value
  if (value['type'] === 'Organization' && typeof login === 'string' && typeof id === 'number') {
    return { ...simpleUser(base, login, id), avatar_url: value['avatar_url'], type: 'Organization' }
  }
  if (Array.isArray(value['items']) && typeof value['total_count'] === 'number') {
    const items = value['items'].map((item) => ({ ...(isRecord(item) ? item : {}), score: 1 }))
    return { ...value, items: shaped(items, base) }
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      typeof item === 'string' && key.endsWith('_at') ? item.replace(/\.\d+Z$/, 'Z') : shaped(item, base),
    ]),
  )
}

function simpleUser(base: string, login: string, id: number): Record<string, unknown> {
  const url = `${base}/users/${login}`
  return {
    login,
    id,
    node_id: Buffer.from(`0:User${id}`).toString('base64').replace(/=+$/, ''),
    avatar_url: `${base}/avatars/u/${login}`,
    gravatar_id: '',
    url,
    html_url: `${base}/${login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: 'User',
    site_admin: false,
  }
}
