/**
 * Slack: both install flows, rotation with a grace, and the Web API behind a check of token, scope and every argument.
 * Answers are HTTP 200 with `ok:false`, but for a rate limit.
 *
 * Deviation on purpose: Slack ignores arguments it does not know; here they are `invalid_arguments`.
 *
 * @module
 */
import { type RegisteredApp } from '@/sandbox/core/app'
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
import { type Grant, isChallenge, type Issued, type Ledger, type Token } from '@/sandbox/core/ledger'
import { homePage, problemPage } from '@/sandbox/core/pages'
import { coerce, violations } from '@/sandbox/core/schema'
import type { EmulatorPlane } from '@/sandbox/emulator/plane'
import { METHODS, type SlackMethod } from '@/sandbox/slack/methods'
import { APP_USER, call as emulatorCall, PEOPLE, TEAM } from '@/sandbox/slack/seed'

export interface SlackSettings {
  /** Calls a minute for each method and person; null lifts the limit. */
  callsPerMinute: number | null
  /** Where the answer of a user-token refresh puts the token: documentation leaves it open, so clients accept both. */
  refreshShape: 'flat' | 'nested'
}

const SCOPES: Readonly<Record<string, string>> = {
  'channels:read': 'View basic information about public channels',
  'groups:read': 'View basic information about your private channels',
  'im:read': 'View basic information about your direct messages',
  'mpim:read': 'View basic information about your group direct messages',
  'channels:history': 'View messages and other content in your public channels',
  'groups:history': 'View messages and other content in your private channels',
  'im:history': 'View messages and other content in your direct messages',
  'mpim:history': 'View messages and other content in your group direct messages',
  'search:read': 'Search the workspace’s content as you',
  'users:read': 'View people in your workspace',
  'users:read.email': 'View email addresses of people in your workspace',
  'users.profile:read': 'View profile details about people in your workspace',
  'chat:write': 'Send messages on your behalf',
  'reactions:read': 'View emoji reactions',
  'reactions:write': 'Add and edit emoji reactions',
  'files:read': 'View files shared in channels and conversations',
  'team:read': 'View the name, email domain, and icon of your workspace',
}
const KIND_SCOPES: Readonly<Record<string, string>> = {
  public_channel: 'channels',
  private_channel: 'groups',
  im: 'im',
  mpim: 'mpim',
}
const APP_ID = 'A0SANDBOX01'
const BOT = 'bot'

export interface SlackFront {
  readonly handle: Handler
}

export async function createSlackFront(
  base: string,
  app: RegisteredApp,
  ledger: Ledger,
  control: Control,
  plane: EmulatorPlane,
  settings: SlackSettings,
): Promise<SlackFront> {
  const ids = new Map<string, string>()
  for (const user of items(await emulated(plane, APP_USER, 'users.list', { limit: 999 }), 'members')) {
    ids.set(String(user['name']), String(user['id']))
  }
  const nameOf = (userId: string): string => [...ids].find(([, id]) => id === userId)?.[0] ?? userId
  const windows = new Map<string, { used: number; resetsAt: number }>()

  const desk = new ConsentDesk(
    {
      provider: 'slack',
      appName: app.name,
      issuer: undefined,
      people: PEOPLE.map((p) => ({
        id: ids.get(p.name) ?? '',
        name: p.realName,
        detail: `${p.email} in ${TEAM.name}`,
      })),
      describe: (scope) => ({ words: SCOPES[scope] ?? scope, optional: false }),
      isKnown: () => false,
      accumulateScopes: true,
      refusal: { error: 'access_denied' },
      success: () => ({}),
    },
    ledger,
    control,
  )

  function authorize(request: Incoming, flow: 'user' | 'install'): Reply {
    const failed = (code: string, words: string): Reply => html(400, problemPage('slack', code, words))
    const fields = single(request.query)
    if (fields === undefined) return failed('invalid_request', 'A parameter is given twice.')
    if (fields.get('client_id') !== app.clientId) return failed('invalid_client_id', 'There is no such app.')
    const redirectUri = fields.get('redirect_uri') ?? [...app.redirectUris][0]
    if (redirectUri === undefined || !app.redirectUris.has(redirectUri)) {
      return failed('bad_redirect_uri', 'redirect_uri did not match any configured URIs.')
    }
    const team = fields.get('team')
    if (team !== undefined && team !== TEAM.id) return failed('invalid_team', 'There is no such workspace.')
    const split = (name: string): string[] => (fields.get(name) ?? '').split(/[\s,]+/).filter((scope) => scope !== '')
    const userScopes = flow === 'user' ? split('scope') : split('user_scope')
    const botScopes = flow === 'user' ? [] : split('scope')
    const all = [...userScopes, ...botScopes]
    if (all.length === 0) return failed('no_scopes', 'No scopes requested.')
    const unknown = all.filter((scope) => !(scope in SCOPES))
    if (unknown.length > 0) return failed('invalid_scope', `Invalid permissions requested: ${unknown.join(', ')}`)
    const challenge = fields.get('code_challenge')
    if (challenge !== undefined && (fields.get('code_challenge_method') !== 'S256' || !isChallenge(challenge))) {
      return redirect(redirectUri, { error: 'invalid_request', state: fields.get('state') })
    }
    return desk.open({
      redirectUri,
      state: fields.get('state'),
      scopes: [...new Set(userScopes)],
      challenge,
      offline: true,
      flow: flow === 'user' ? 'user' : `install ${botScopes.join(',')}`,
    })
  }

  function token(request: Incoming, endpoint: 'user' | 'install'): Reply {
    const fields = form(request)
    if (fields === undefined) return refusal('invalid_form_data')
    const basic = basicCredentials(request)
    if ((basic?.id ?? fields.get('client_id')) !== app.clientId) return refusal('invalid_client_id')
    if ((basic?.secret ?? fields.get('client_secret')) !== app.clientSecret) return refusal('bad_client_secret')
    const grantType = fields.get('grant_type') ?? 'authorization_code'
    if (grantType === 'refresh_token') {
      const presented = fields.get('refresh_token') ?? ''
      control.countRefresh('slack', presented)
      const known = ledger.token(presented)
      if (known !== undefined && (endpoint === 'user') !== (known.flow === 'user'))
        return refusal('invalid_refresh_token')
      const issued = ledger.refresh(presented)
      if (issued === undefined) return refusal('invalid_refresh_token')
      const nested = endpoint === 'user' && settings.refreshShape === 'nested'
      return json(200, {
        ...install(),
        ...(nested ? { authed_user: { id: issued.grant.userId, ...set(issued) } } : set(issued)),
      })
    }
    if (grantType !== 'authorization_code') return refusal('invalid_grant_type')
    const code = ledger.redeem(fields.get('code') ?? '', fields.get('redirect_uri'), fields.get('code_verifier'), false)
    switch (code) {
      case 'used':
        return refusal('code_already_used')
      case 'unknown':
      case 'expired':
        return refusal('invalid_code')
      case 'redirect':
        return refusal('bad_redirect_uri')
      case 'verifier':
        return refusal('invalid_code_verifier')
      default:
    }
    if ((endpoint === 'user') !== (code.flow === 'user')) return refusal('invalid_code')
    const grant = ledger.grant(code.grantId)
    const userId = grant?.userId ?? ''
    let authedUser: Record<string, unknown> = { id: userId }
    if (grant !== undefined && code.scopes.length > 0) {
      // Scopes only ever accumulate: the token carries all this person allowed so far.
      const flow = endpoint === 'user' ? 'user' : 'install-user'
      const issued = ledger.issue({ grantId: grant.id, family: code.value, scopes: grant.scopes, flow }, rotates())
      ledger.capConsents(grant.id, grant.scopes)
      authedUser = { id: userId, ...set(issued) }
    }
    const botScopes = code.flow.startsWith('install ')
      ? code.flow.slice('install '.length).split(',').filter(Boolean)
      : []
    if (botScopes.length === 0) return json(200, { ...install(), authed_user: authedUser })
    const botGrant = ledger.authorize(BOT, botScopes, true)
    const from = { grantId: botGrant.id, family: `${code.value}-bot`, scopes: botGrant.scopes, flow: BOT }
    const issued = ledger.issue(from, rotates())
    return json(200, { ...install(), ...set(issued), bot_user_id: ids.get(APP_USER), authed_user: authedUser })
  }

  const rotates = (): boolean => ledger.policy.accessLifetimeS !== undefined
  const install = (): Record<string, unknown> => ({
    ok: true,
    app_id: APP_ID,
    team: { id: TEAM.id, name: TEAM.name },
    enterprise: null,
    is_enterprise_install: false,
  })
  const set = ({ access, refresh, expiresInS }: Issued): Record<string, unknown> => ({
    scope: access.scopes.join(','),
    access_token: access.value,
    token_type: access.flow === BOT ? 'bot' : 'user',
    ...(expiresInS === undefined ? {} : { expires_in: expiresInS }),
    ...(refresh === undefined ? {} : { refresh_token: refresh.value }),
  })

  async function api(request: Incoming, name: string): Promise<Reply> {
    const method = METHODS[name]
    const args = readArguments(request)
    if (typeof args === 'string') return refusal(args)
    const header = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
    const inBody =
      typeof args['token'] === 'string' && mediaType(request) !== 'application/json' ? args['token'] : undefined
    const bearer = header ?? inBody
    const { state, token: access, grant } = ledger.inspect(bearer ?? '')
    control.countApiToken('slack', bearer === undefined ? 'none' : state)
    if (method === undefined && name !== 'sandbox.echo') return refusal('unknown_method', { req_method: name })
    if (bearer === undefined) return refusal('not_authed')
    if (name === 'auth.revoke') return revoke(bearer, args)
    if (state === 'unknown') return refusal('invalid_auth')
    if (state === 'expired') return refusal('token_expired')
    if (state === 'revoked' || access === undefined || grant === undefined) return refusal('token_revoked')
    const headers = {
      'x-oauth-scopes': access.scopes.join(','),
      'x-slack-req-id': access.value.slice(-4) + String(control.clock.nowMs()),
    }
    const withHeaders = (reply: Reply): Reply => ({ ...reply, headers: { ...headers, ...reply.headers } })
    if (method === undefined) {
      const where = String(args['where'])
      return echoed(
        json(200, { ok: true, text: '' }),
        where === 'header' || where === 'error' ? where : 'body',
        `Bearer ${bearer}`,
      )
    }
    const retryAfterS = overLimit(`${name} ${grant.userId}`)
    if (retryAfterS > 0)
      return json(429, { ok: false, error: 'ratelimited' }, { ...headers, 'retry-after': String(retryAfterS) })
    delete args['token']
    const wrong = argumentErrors(method, args)
    if (wrong.length > 0) {
      return withHeaders(
        refusal('invalid_arguments', { response_metadata: { messages: wrong.map((w) => `[ERROR] ${w}`) } }),
      )
    }
    if (method.scope !== undefined && !access.scopes.includes(method.scope)) {
      return withHeaders(missingScope(access, method.scope))
    }
    return withHeaders(await operate(name, { args: method, values: args, access, grant, user: actor(grant) }))
  }

  /** The emulator's name for whoever acts: the person, or the app behind a bot token. */
  const actor = (grant: Grant): string => (grant.userId === BOT ? APP_USER : nameOf(grant.userId))

  function revoke(bearer: string, args: Record<string, unknown>): Reply {
    const found = ledger.token(bearer)
    if (found === undefined) return refusal('invalid_auth')
    if (found.state === 'revoked' || ledger.grant(found.grantId)?.revoked !== false) return refusal('token_revoked')
    const isTest = ['1', 'true', 1, true].includes(args['test'] as string) // one of four spellings, or not
    if (!isTest) ledger.revokeToken(bearer)
    return json(200, { ok: true, revoked: !isTest })
  }

  function overLimit(key: string): number {
    if (settings.callsPerMinute === null) return 0
    const now = control.clock.nowMs()
    const window = windows.get(key)
    if (window === undefined || window.resetsAt <= now) {
      windows.set(key, { used: 1, resetsAt: now + 60_000 })
      return 0
    }
    window.used += 1
    return window.used > settings.callsPerMinute ? Math.ceil((window.resetsAt - now) / 1000) : 0
  }

  async function operate(name: string, call: Call): Promise<Reply> {
    switch (name) {
      case 'auth.test':
        return authTest(call)
      case 'conversations.list':
      case 'users.conversations':
        return listConversations(name, call)
      case 'conversations.info':
      case 'conversations.history':
      case 'conversations.replies':
        return readConversation(name, call)
      case 'chat.postMessage':
        return postMessage(call)
      case 'users.list': {
        const all = await emulated(plane, call.user, name, { limit: 999 })
        return paged(
          call,
          'members',
          items(all, 'members').map((user) => person(user, call.access)),
        )
      }
      case 'users.info':
      case 'users.lookupByEmail': {
        const found = await emulated(plane, call.user, name, call.values)
        return isRecord(found['user'])
          ? json(200, { ok: true, user: person(found['user'], call.access) })
          : json(200, found)
      }
      case 'search.messages':
        return search(call)
      default:
        return refusal('unknown_method', { req_method: name })
    }
  }

  function authTest({ access, grant }: Call): Reply {
    const isBot = grant.userId === BOT
    return json(200, {
      ok: true,
      url: `${base}/`,
      team: TEAM.name,
      user: actor(grant),
      team_id: TEAM.id,
      user_id: isBot ? ids.get(APP_USER) : grant.userId,
      ...(isBot ? { bot_id: 'B0SANDBOX01' } : {}),
      is_enterprise_install: false,
      ...(access.expiresAt === undefined
        ? {}
        : { expires_in: Math.floor((access.expiresAt - control.clock.nowMs()) / 1000) }),
    })
  }

  async function listConversations(name: string, call: Call): Promise<Reply> {
    const { values, access, user } = call
    const types = (typeof values['types'] === 'string' ? values['types'] : 'public_channel').split(/, ?/)
    const lacking = types.map((type) => `${KIND_SCOPES[type] ?? type}:read`).filter((s) => !access.scopes.includes(s))
    if (lacking.length > 0) return missingScope(access, lacking.join(','))
    const passed = { types: types.join(','), exclude_archived: values['exclude_archived'] === true, limit: 999 }
    let channels = items(await emulated(plane, user, 'conversations.list', passed), 'channels')
    if (name === 'users.conversations') {
      const who = typeof values['user'] === 'string' ? values['user'] : (ids.get(user) ?? '')
      if (![...ids.values()].includes(who)) return refusal('user_not_found')
      const memberships = await Promise.all(
        channels.map(async (channel) => {
          const members = (await emulated(plane, user, 'conversations.members', { channel: channel['id'] }))['members']
          return Array.isArray(members) && (members.includes(who) || members.includes(nameOf(who)))
        }),
      )
      channels = channels.filter((_, i) => memberships[i])
    }
    return paged(call, 'channels', channels.map(channelShape))
  }

  /** The conversation if this person may know of it. */
  async function conversation(call: Call): Promise<Record<string, unknown> | undefined> {
    const id = String(call.values['channel'])
    if (!/^[CDG][A-Z0-9]{8,}$/.test(id)) return undefined
    const found = await emulated(plane, call.user, 'conversations.info', { channel: id })
    return isRecord(found['channel']) ? found['channel'] : undefined
  }

  async function readConversation(name: string, call: Call): Promise<Reply> {
    const { access, values, user } = call
    const channel = await conversation(call)
    const verb = name === 'conversations.info' ? 'read' : 'history'
    // Without the least scope of the method, not even the existence of a channel is told.
    if (!Object.values(KIND_SCOPES).some((kind) => access.scopes.includes(`${kind}:${verb}`))) {
      return missingScope(access, `channels:${verb},groups:${verb},mpim:${verb},im:${verb}`)
    }
    if (channel === undefined) return refusal('channel_not_found')
    const needed = `${kindOf(channel)}:${verb}`
    if (!access.scopes.includes(needed)) return missingScope(access, needed)
    if (name === 'conversations.info') {
      const { num_members, ...shape } = channelShape(channel)
      return json(200, {
        ok: true,
        channel: values['include_num_members'] === true ? { ...shape, num_members } : shape,
      })
    }
    const passed = {
      channel: values['channel'],
      limit: 999,
      ...(name === 'conversations.replies' ? { ts: values['ts'] } : {}),
    }
    const all = items(await emulated(plane, user, name, passed), 'messages')
    if (name === 'conversations.replies' && all.length === 0) return refusal('thread_not_found')
    const [root] = all
    const thread = name === 'conversations.replies' ? (root?.['thread_ts'] ?? root?.['ts']) : undefined
    const within = all.filter((m) => m['ts'] === thread || inside(m, values)).map((m) => messageShape(m, thread))
    return paged(call, 'messages', within)
  }

  async function postMessage(call: Call): Promise<Reply> {
    const { values, user } = call
    const channel = await conversation(call)
    if (channel === undefined) return refusal('channel_not_found')
    if (channel['is_archived'] === true) return refusal('is_archived')
    if (channel['is_member'] !== true && user !== APP_USER) return refusal('not_in_channel')
    const { markdown_text: markdown, ...rest } = values
    if (markdown !== undefined && (rest['text'] !== undefined || rest['blocks'] !== undefined)) {
      return refusal('markdown_text_conflict')
    }
    if (rest['thread_ts'] !== undefined) {
      const thread = await emulated(plane, user, 'conversations.replies', {
        channel: channel['id'],
        ts: rest['thread_ts'],
      })
      if (items(thread, 'messages').length === 0) return refusal('cannot_reply_to_message')
    } else if (rest['reply_broadcast'] === true) return refusal('invalid_arguments')
    const sent = emulatorCall(user, 'chat.postMessage', markdown === undefined ? rest : { ...rest, text: markdown })
    const reply = await plane.write('slack', sent)
    const body = parseJson(reply.body)
    if (!isRecord(body) || body['ok'] !== true || !isRecord(body['message'])) return json(200, body)
    return json(200, { ...body, message: { ...body['message'], team: TEAM.id } })
  }

  async function search(call: Call): Promise<Reply> {
    const { values, user } = call
    const query = String(values['query']).trim()
    if (query === '') return refusal('no_query')
    const count = Number(values['count'] ?? 20)
    const cursor = typeof values['cursor'] === 'string' ? values['cursor'] : undefined
    const page = cursor === undefined || cursor === '*' ? Number(values['page'] ?? 1) : decodeCursor(cursor)
    if (page === undefined) return refusal('invalid_cursor')
    const matches: Record<string, unknown>[] = []
    const listed = await emulated(plane, user, 'conversations.list', {
      types: 'public_channel,private_channel',
      limit: 999,
    })
    for (const channel of items(listed, 'channels')) {
      const wanted = filter(query, String(channel['name']))
      if (wanted === undefined) continue
      const messages = items(
        await emulated(plane, user, 'conversations.history', { channel: channel['id'], limit: 999 }),
        'messages',
      )
      const threads = await Promise.all(
        messages
          .filter((m) => typeof m['reply_count'] === 'number')
          .map(async (m) =>
            items(
              await emulated(plane, user, 'conversations.replies', { channel: channel['id'], ts: m['ts'] }),
              'messages',
            ).slice(1),
          ),
      )
      for (const message of [...messages, ...threads.flat()]) {
        if (wanted(message, nameOf(String(message['user'])))) matches.push(matchShape(message, channel))
      }
    }
    const direction = values['sort_dir'] === 'asc' ? 1 : -1
    matches.sort((a, b) => direction * (Number(a['ts']) - Number(b['ts'])))
    const pages = Math.max(1, Math.ceil(matches.length / count))
    const slice = matches.slice((page - 1) * count, page * count)
    return json(200, {
      ok: true,
      query,
      messages: {
        total: matches.length,
        pagination: {
          total_count: matches.length,
          page,
          per_page: count,
          page_count: pages,
          first: slice.length === 0 ? 0 : (page - 1) * count + 1,
          last: (page - 1) * count + slice.length,
        },
        paging: { count, total: matches.length, page, pages },
        matches: slice,
      },
      ...(cursor === undefined
        ? {}
        : { response_metadata: { next_cursor: page < pages ? encodeCursor(page + 1) : '' } }),
    })
  }

  function matchShape(message: Record<string, unknown>, channel: Record<string, unknown>): Record<string, unknown> {
    const ts = String(message['ts'])
    return {
      iid: Buffer.from(`${String(channel['id'])}${ts}`)
        .toString('hex')
        .slice(0, 36),
      team: TEAM.id,
      score: 0,
      channel: {
        id: channel['id'],
        name: channel['name'],
        is_channel: true,
        is_group: false,
        is_im: false,
        is_mpim: false,
        is_private: channel['is_private'],
        is_shared: false,
        is_ext_shared: false,
        is_org_shared: false,
        pending_shared: [],
        is_pending_ext_shared: false,
      },
      type: 'message',
      user: message['user'],
      username: nameOf(String(message['user'])),
      ts,
      text: message['text'],
      permalink: `${base}/archives/${String(channel['id'])}/p${ts.replace('.', '')}`,
      no_reactions: true,
    }
  }

  function route(request: Incoming): Promise<Reply> {
    const fromPage = desk.handle(request)
    if (fromPage !== undefined) return Promise.resolve(fromPage)
    switch (request.path) {
      case '/':
        return Promise.resolve(html(200, homePage('slack')))
      case '/oauth/v2_user/authorize':
        return Promise.resolve(request.method === 'GET' ? authorize(request, 'user') : notAllowed())
      case '/oauth/v2/authorize':
        return Promise.resolve(request.method === 'GET' ? authorize(request, 'install') : notAllowed())
      case '/api/oauth.v2.user.access':
      case '/api/oauth.v2.access': {
        const endpoint = request.path.endsWith('user.access') ? 'user' : 'install'
        return control.through('slack', 'token', request, () => Promise.resolve(token(request, endpoint)))
      }
      default: {
        const name = /^\/api\/([A-Za-z0-9.]+)$/.exec(request.path)?.[1]
        if (name === undefined)
          return Promise.resolve(html(404, problemPage('slack', 'not_found', 'There is nothing here.')))
        return control.through('slack', name === 'auth.revoke' ? 'revoke' : 'api', request, () => api(request, name))
      }
    }
  }
  return { handle: route }
}

interface Call {
  readonly args: SlackMethod
  readonly values: Record<string, unknown>
  readonly access: Token
  readonly grant: Grant
  readonly user: string
}

const notAllowed = (): Reply => ({ status: 405, headers: { allow: 'GET' }, body: 'Method Not Allowed' })

const refusal = (error: string, more: Record<string, unknown> = {}): Reply => json(200, { ok: false, error, ...more })

const missingScope = (access: Token, needed: string): Reply => ({
  ...refusal('missing_scope', { needed, provided: access.scopes.join(',') }),
  headers: { 'content-type': 'application/json; charset=utf-8', 'x-accepted-oauth-scopes': needed },
})

/** A form, a JSON object or the query. Slack names each way of getting it wrong. */
function readArguments(request: Incoming): Record<string, unknown> | string {
  const query = Object.fromEntries(request.query)
  if (request.method === 'GET') return query
  if (request.method !== 'POST') return 'invalid_arguments'
  const type = mediaType(request)
  if (request.body.length === 0) return query
  if (type === 'application/json') {
    const body = parseJson(request.body)
    if (body === undefined) return 'invalid_json'
    return isRecord(body) ? { ...query, ...body } : 'json_not_object'
  }
  if (type === '') return 'missing_post_type'
  const fields = form(request)
  if (fields === undefined)
    return type === 'application/x-www-form-urlencoded' ? 'invalid_form_data' : 'invalid_post_type'
  return { ...query, ...Object.fromEntries(fields) }
}

/** What is wrong with the arguments; forms carry text, so text is read as the type the argument has. */
function argumentErrors(method: SlackMethod, values: Record<string, unknown>): string[] {
  const errors = method.required
    .filter((name) => values[name] === undefined || values[name] === '')
    .map((name) => `missing required field: ${name}`)
  for (const [name, value] of Object.entries(values)) {
    const schema = method.arguments[name]
    if (schema === undefined) {
      errors.push(`unknown argument: ${name}`)
      continue
    }
    const structured = schema.type === 'array' || schema.type === 'object'
    const read =
      typeof value !== 'string' ? value : structured ? parseJson(value) : boolean(coerce(value, schema), schema.type)
    values[name] = read
    if (violations(read, schema, { closed: false, resolve: () => ({}) }).length > 0)
      errors.push(`invalid value for: ${name}`)
  }
  return errors
}

const boolean = (value: unknown, type: string | undefined): unknown =>
  type === 'boolean' && (value === '1' || value === '0') ? value === '1' : value

async function emulated(
  plane: EmulatorPlane,
  user: string,
  method: string,
  body: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const reply = await plane.read('slack', emulatorCall(user, method, body))
  const answer = parseJson(reply.body)
  return isRecord(answer) ? answer : { ok: false, error: 'internal_error' }
}

const items = (answer: Record<string, unknown>, key: string): Record<string, unknown>[] =>
  Array.isArray(answer[key]) ? answer[key].filter(isRecord) : []

const encodeCursor = (offset: number): string => Buffer.from(`next:${offset}`).toString('base64')
function decodeCursor(cursor: string): number | undefined {
  const found = /^next:(\d{1,9})$/.exec(Buffer.from(cursor, 'base64').toString('utf8'))
  return found?.[1] === undefined ? undefined : Number(found[1])
}

function paged({ values }: Call, key: string, all: readonly Record<string, unknown>[]): Reply {
  const limit = Number(values['limit'] ?? 100)
  const cursor = typeof values['cursor'] === 'string' && values['cursor'] !== '' ? values['cursor'] : undefined
  const offset = cursor === undefined ? 0 : decodeCursor(cursor)
  if (offset === undefined) return refusal('invalid_cursor')
  const hasMore = offset + limit < all.length
  return json(200, {
    ok: true,
    [key]: all.slice(offset, offset + limit),
    ...(key === 'messages' ? { has_more: hasMore } : {}),
    response_metadata: { next_cursor: hasMore ? encodeCursor(offset + limit) : '' },
  })
}

function kindOf(channel: Record<string, unknown>): string {
  if (channel['is_im'] === true) return 'im'
  if (channel['is_mpim'] === true) return 'mpim'
  return channel['is_private'] === true ? 'groups' : 'channels'
}

/** Between `oldest` and `latest`, ends included only when asked. */
function inside(message: Record<string, unknown>, values: Record<string, unknown>): boolean {
  const at = Number(message['ts'])
  const inclusive = values['inclusive'] === true
  const { oldest, latest } = values
  if (oldest !== undefined && (inclusive ? at < Number(oldest) : at <= Number(oldest))) return false
  return latest === undefined || (inclusive ? at <= Number(latest) : at < Number(latest))
}

/** The words a message must hold, with `from:` and `in:`. Undefined when the channel itself is filtered out. */
function filter(
  query: string,
  channel: string,
): ((message: Record<string, unknown>, author: string) => boolean) | undefined {
  const words: string[] = []
  let from: string | undefined
  for (const word of query.toLowerCase().match(/"[^"]+"|\S+/g) ?? []) {
    if (word.startsWith('in:')) {
      if (word.slice(3).replace(/^[#@]/, '') !== channel) return undefined
    } else if (word.startsWith('from:')) from = word.slice(5).replace(/^@/, '')
    else words.push(word.replaceAll('"', ''))
  }
  return (message, author) =>
    (from === undefined || from === author) &&
    words.every((word) => String(message['text']).toLowerCase().includes(word))
}

const channelShape = (channel: Record<string, unknown>): Record<string, unknown> => ({
  ...channel,
  is_general: channel['name'] === 'general',
  is_shared: false,
  is_ext_shared: false,
  is_org_shared: false,
  unlinked: 0,
  context_team_id: TEAM.id,
})

function messageShape(message: Record<string, unknown>, thread: unknown): Record<string, unknown> {
  const { ts, reply_users: replied } = message
  const shape = { ...message, team: TEAM.id }
  if (Array.isArray(replied)) return { ...shape, thread_ts: ts, reply_users_count: replied.length, subscribed: false }
  return thread !== undefined && ts !== thread ? { ...shape, thread_ts: thread } : shape
}

/** A person as this token may see them: the address only with its own scope. */
function person(user: Record<string, unknown>, access: Token): Record<string, unknown> {
  const profile = isRecord(user['profile']) ? { ...user['profile'] } : {}
  if (!access.scopes.includes('users:read.email')) delete profile['email']
  return {
    ...user,
    profile: {
      ...profile,
      team: TEAM.id,
      first_name: String(user['real_name']).split(' ')[0],
      last_name: String(user['real_name']).split(' ').slice(1).join(' '),
    },
    color: '9f69e7',
    tz: 'Europe/Lisbon',
    tz_label: 'Western European Time',
    tz_offset: 0,
    is_owner: user['is_admin'],
    is_primary_owner: user['is_admin'],
    is_restricted: false,
    is_ultra_restricted: false,
    is_app_user: false,
    updated: 0,
  }
}
