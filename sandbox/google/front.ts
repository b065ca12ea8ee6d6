/**
 * Google on one port: its authorization server, and Gmail and Calendar behind a check of token, scope and every argument.
 *
 * Deviation on purpose: Calendar ignores body fields it does not know; here they are a 400, as they are in Gmail.
 *
 * @module
 */
import type { RegisteredApp } from '@/sandbox/core/app'
import type { Control } from '@/sandbox/core/control'
import { echoed } from '@/sandbox/core/control'
import { type Handler, type Incoming, isRecord, json, mediaType, parseJson, type Reply } from '@/sandbox/core/http'
import type { Ledger } from '@/sandbox/core/ledger'
import { coerce, type Schema, type Violation, violations } from '@/sandbox/core/schema'
import type { Store } from '@/sandbox/core/store'
import type { EmulatorPlane, PlaneReply } from '@/sandbox/emulator/plane'
import { createIdTokenSigner } from '@/sandbox/google/id-token'
import {
  EVENT_UNSUPPORTED,
  type GoogleMethod,
  METHODS,
  STANDARD,
  UNSUPPORTED_PARAMETERS,
} from '@/sandbox/google/methods'
import { createGoogleOAuth } from '@/sandbox/google/oauth'

export interface GoogleFront {
  readonly handle: Handler
}

const ALIAS = 'google.eventAlias'
const MAX_CALENDAR_PAGE = 250

export function createGoogleFront(
  base: string,
  app: RegisteredApp,
  ledger: Ledger,
  control: Control,
  plane: EmulatorPlane,
  store: Store,
): GoogleFront {
  const oauth = createGoogleOAuth(base, app, ledger, control, createIdTokenSigner(store))

  async function api(request: Incoming): Promise<Reply> {
    const authorization = request.headers.authorization
    const bearer = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? ''
    const { state, token, grant } = ledger.inspect(bearer)
    control.countApiToken('google', authorization === undefined ? 'none' : state)
    const found = match(request.method, request.path)
    if (found === undefined) return failure(404, 'Requested entity was not found.', 'notFound', 'NOT_FOUND')
    if (state !== 'valid' || token === undefined || grant === undefined) return unauthenticated()
    if (found === 'echo') {
      const where = request.query.get('where')
      return echoed(
        json(200, { text: '' }),
        where === 'header' || where === 'error' ? where : 'body',
        authorization ?? '',
      )
    }
    const { method, path } = found
    if (!method.scopes.some((scope) => token.scopes.includes(scope))) return insufficient(method)
    const metadataOnly = !method.scopes.some((s) => !s.endsWith('gmail.metadata') && token.scopes.includes(s))
    const call = { method, path, request, user: grant.userId, metadataOnly }
    return checked(call) ?? (await operate(call))
  }

  function operate(call: Call): Promise<Reply> {
    switch (call.method.id) {
      case 'gmail.users.getProfile':
        return profile(call)
      case 'gmail.users.drafts.create':
        return createDraft(call)
      case 'gmail.users.messages.get':
        return getMessage(call)
      case 'calendar.events.list':
        return listEvents(call)
      case 'calendar.events.get':
        return getEvent(call)
      case 'calendar.events.insert':
        return insertEvent(call)
      default:
        return forward(call)
    }
  }

  const read = (user: string, target: string): Promise<PlaneReply> =>
    plane.read('google', { method: 'GET', target, user })

  async function forward({ request, user, method, metadataOnly }: Call): Promise<Reply> {
    if (method.id === 'gmail.users.messages.list' && metadataOnly && request.query.has('q')) {
      return failure(403, "Metadata scope does not support 'q' parameter", 'forbidden', 'PERMISSION_DENIED')
    }
    const reply = await read(user, withQuery(request.path, request.query))
    const body = parseJson(reply.body)
    if (reply.status !== 200 || !isRecord(body)) return retold(reply)
    // An empty mailbox answers without `messages` at all; a client that maps over it learns so here.
    if (Array.isArray(body['messages']) && body['messages'].length === 0) delete body['messages']
    if (method.id === 'calendar.calendarList.list') body['etag'] = '"sandbox"'
    return json(200, body)
  }

  async function profile({ user }: Call): Promise<Reply> {
    const list = parseJson((await read(user, '/gmail/v1/users/me/messages?maxResults=500&includeSpamTrash=true')).body)
    const messages =
      isRecord(list) && Array.isArray(list['messages']) ? (list['messages'] as { id: string; threadId: string }[]) : [] // the emulator's own list
    const [newest] = messages
    const message =
      newest === undefined
        ? undefined
        : parseJson((await read(user, `/gmail/v1/users/me/messages/${newest.id}?format=minimal`)).body)
    return json(200, {
      emailAddress: user,
      messagesTotal: messages.length,
      threadsTotal: new Set(messages.map((m) => m.threadId)).size,
      historyId: isRecord(message) ? message['historyId'] : '1',
    })
  }

  async function getMessage({ request, user, metadataOnly }: Call): Promise<Reply> {
    const format = request.query.get('format') ?? 'full'
    if (metadataOnly && (format === 'full' || format === 'raw')) {
      return failure(
        403,
        `Metadata scope doesn't allow format ${format.toUpperCase()}`,
        'forbidden',
        'PERMISSION_DENIED',
      )
    }
    const reply = await read(user, withQuery(request.path, request.query))
    return reply.status === 200 ? json(200, parseJson(reply.body)) : retold(reply)
  }

  async function createDraft({ request, user }: Call): Promise<Reply> {
    const body = parseJson(request.body) as { message: { raw: string; threadId?: string } } // checked against the method
    const mime = Buffer.from(body.message.raw, 'base64url').toString('utf8')
    const header = /^(?:[A-Za-z-]+:.*\r?\n(?:[ \t].*\r?\n)*)+\r?\n/.exec(mime)
    if (header === null)
      return failure(400, 'Invalid MIME message: no header block', 'invalidArgument', 'INVALID_ARGUMENT')
    const { threadId } = body.message
    if (threadId !== undefined) {
      const thread = await read(user, `/gmail/v1/users/me/threads/${encodeURIComponent(threadId)}?format=minimal`)
      if (thread.status !== 200) return failure(404, 'Requested entity was not found.', 'notFound', 'NOT_FOUND')
    }
    const written = await plane.write('google', {
      method: 'POST',
      target: '/gmail/v1/users/me/drafts',
      user,
      body: JSON.stringify({
        message: { raw: Buffer.from(mime).toString('base64url'), ...(threadId === undefined ? {} : { threadId }) },
      }),
    })
    const draft = parseJson(written.body)
    if (written.status >= 300 || !isRecord(draft) || !isRecord(draft['message'])) return retold(written)
    const { id, threadId: thread, labelIds } = draft['message']
    return json(200, { id: draft['id'], message: { id, threadId: thread, labelIds } })
  }

  async function listEvents({ request, user, path }: Call): Promise<Reply> {
    const { query } = request
    if (query.get('orderBy') === 'startTime' && query.get('singleEvents') !== 'true') {
      return failure(
        400,
        'The requested ordering is not available for the particular query.',
        'badRequest',
        'INVALID_ARGUMENT',
      )
    }
    const min = query.get('timeMin')
    const max = query.get('timeMax')
    if (min !== null && max !== null && Date.parse(min) >= Date.parse(max)) {
      return failure(400, 'The specified time range is empty.', 'timeRangeEmpty', 'INVALID_ARGUMENT')
    }
    const calendarId = path.get('calendarId') ?? ''
    const calendar = await calendarOf(user, calendarId)
    if (calendar === undefined) return failure(404, 'Not Found', 'notFound', 'NOT_FOUND')
    const passed = new URLSearchParams()
    for (const name of ['timeMin', 'timeMax', 'q', 'pageToken']) {
      const value = query.get(name)
      if (value !== null) passed.set(name, value)
    }
    // A page may be shorter than asked for: the emulator's longest is the service's default.
    passed.set('maxResults', String(Math.min(Number(query.get('maxResults') ?? MAX_CALENDAR_PAGE), MAX_CALENDAR_PAGE)))
    const reply = await read(
      user,
      withQuery(`/calendar/v3/calendars/${encodeURIComponent(String(calendar['id']))}/events`, passed),
    )
    const body = parseJson(reply.body)
    if (reply.status !== 200 || !isRecord(body) || !Array.isArray(body['items'])) return retold(reply)
    const { nextPageToken } = body
    return json(200, {
      kind: 'calendar#events',
      etag: '"sandbox"',
      summary: calendar['summary'],
      updated: new Date(control.clock.nowMs()).toISOString(),
      timeZone: query.get('timeZone') ?? calendar['timeZone'],
      accessRole: calendar['accessRole'],
      defaultReminders: [],
      ...(nextPageToken === undefined ? { nextSyncToken: 'sandbox' } : { nextPageToken }),
      items: body['items'].filter(isRecord).map((event) => shaped(event, calendar, user)),
    })
  }

  /** The emulator lists events but gives none out by itself: this one is looked for in its pages. */
  async function getEvent({ user, path }: Call): Promise<Reply> {
    const calendar = await calendarOf(user, path.get('calendarId') ?? '')
    const target = `/calendar/v3/calendars/${encodeURIComponent(String(calendar?.['id']))}/events?maxResults=${MAX_CALENDAR_PAGE}`
    let page: unknown = ''
    while (calendar !== undefined && typeof page === 'string') {
      const body = parseJson((await read(user, `${target}&pageToken=${page}`)).body)
      if (!isRecord(body) || !Array.isArray(body['items'])) break
      const events = body['items'].filter(isRecord).map((event) => shaped(event, calendar, user))
      const found = events.find((event) => event['id'] === path.get('eventId'))
      if (found !== undefined) return json(200, found)
      page = body['nextPageToken']
    }
    return failure(404, 'Not Found', 'notFound', 'NOT_FOUND')
  }

  async function insertEvent({ request, user, path }: Call): Promise<Reply> {
    const body = parseJson(request.body)
    if (!isRecord(body)) return failure(400, 'Parse Error', 'parseError', 'INVALID_ARGUMENT')
    const wrong = badTimes(body)
    if (wrong !== undefined) return failure(400, wrong, 'invalid', 'INVALID_ARGUMENT')
    const calendar = await calendarOf(user, path.get('calendarId') ?? '')
    if (calendar === undefined) return failure(404, 'Not Found', 'notFound', 'NOT_FOUND')
    const { accessRole } = calendar
    if (accessRole !== 'owner' && accessRole !== 'writer') {
      return failure(
        403,
        'You need to have writer access to this calendar.',
        'requiredAccessLevel',
        'PERMISSION_DENIED',
      )
    }
    const calendarId = String(calendar['id'])
    const own = typeof body['id'] === 'string' ? body['id'] : undefined
    if (own !== undefined && store.get(ALIAS, `${user} ${calendarId} ${own}`) !== undefined) {
      return failure(409, 'The requested identifier already exists.', 'duplicate', 'ALREADY_EXISTS')
    }
    const attendees = Array.isArray(body['attendees']) ? body['attendees'].filter(isRecord) : []
    const written = await plane.write('google', {
      method: 'POST',
      target: `/calendar/v3/calendars/${encodeURIComponent(calendarId)}/events`,
      user,
      body: JSON.stringify({
        ...body,
        summary: body['summary'] ?? '',
        attendees: attendees.map((a) => ({ responseStatus: 'needsAction', ...a, self: a['email'] === user })),
      }),
    })
    const event = parseJson(written.body)
    if (written.status >= 300 || !isRecord(event)) return retold(written)
    const emulated = String(event['id'])
    const id = own ?? Buffer.from(emulated).toString('hex')
    store.put(ALIAS, `${user} ${calendarId} ${id}`, emulated)
    store.put(ALIAS, `${user} ${calendarId} > ${emulated}`, id)
    return json(200, shaped(event, calendar, user))
  }

  async function calendarOf(user: string, id: string): Promise<Record<string, unknown> | undefined> {
    const list = parseJson((await read(user, '/calendar/v3/users/me/calendarList')).body)
    const items = isRecord(list) && Array.isArray(list['items']) ? list['items'].filter(isRecord) : []
    return items.find((calendar) => calendar['id'] === id || (id === 'primary' && calendar['primary'] === true))
  }

  /** The fields of a real event that the emulator does not keep, and its id as the caller knows it. */
  function shaped(
    event: Record<string, unknown>,
    calendar: Record<string, unknown>,
    user: string,
  ): Record<string, unknown> {
    const alias = store.get(ALIAS, `${user} ${String(calendar['id'])} > ${String(event['id'])}`)
    const id = typeof alias === 'string' ? alias : String(event['id'])
    const attendees = Array.isArray(event['attendees']) ? event['attendees'] : []
    return {
      ...event,
      etag: `"${id}"`,
      id,
      htmlLink: `${base}/calendar/event?eid=${Buffer.from(`${id} ${user}`).toString('base64url')}`,
      creator: { email: user, self: true },
      organizer: { email: calendar['id'], self: true },
      attendees: attendees.length === 0 ? undefined : attendees, // absent in JSON
      iCalUID: `${id}@google.com`,
      sequence: 0,
      reminders: { useDefault: true },
      eventType: 'default',
    }
  }

  return {
    handle: (request) => oauth.handle(request) ?? control.through('google', 'api', request, () => api(request)),
  }
}

interface Call {
  readonly method: GoogleMethod
  readonly path: ReadonlyMap<string, string>
  readonly request: Incoming
  readonly user: string
  /** The token may see headers and labels, not content. */
  readonly metadataOnly: boolean
}

function match(verb: string, path: string): { method: GoogleMethod; path: Map<string, string> } | 'echo' | undefined {
  if (path === '/sandbox/echo') return 'echo'
  const parts = path.split('/')
  for (const method of METHODS) {
    const expected = method.template.split('/')
    if (method.method !== verb || expected.length !== parts.length) continue
    const found = new Map<string, string>()
    const fits = expected.every((name, i) => {
      const part = parts[i] ?? ''
      if (!name.startsWith('{')) return name === part
      try {
        found.set(name.slice(1, -1), decodeURIComponent(part))
        return part !== ''
      } catch {
        return false
      }
    })
    if (fits) return { method, path: found }
  }
  return undefined
}

/** The refusal of arguments that the method's description does not allow. */
function checked({ method, path, request, user }: Call): Reply | undefined {
  const found: { at: string; words: string }[] = []
  const described: Readonly<Record<string, Schema>> = { ...STANDARD, ...method.parameters }
  for (const name of new Set(request.query.keys())) {
    const schema = path.has(name) ? undefined : described[name]
    const values = request.query.getAll(name)
    if (schema === undefined) {
      const words = `Invalid JSON payload received. Unknown name "${name}": Cannot bind query parameter. Field '${name}' could not be found in request message.`
      found.push({ at: name, words })
    } else if (UNSUPPORTED_PARAMETERS.has(name)) {
      found.push({ at: name, words: `The sandbox does not implement "${name}".` })
    } else {
      const value = schema.type === 'array' ? values : values.length === 1 ? coerce(values[0] ?? '', schema) : values
      found.push(...spoken(violations(value, schema, OPTIONS, name)))
    }
  }
  if (method.api === 'gmail' && path.get('userId') !== 'me' && path.get('userId') !== user) {
    return failure(403, `Delegation denied for ${user}`, 'forbidden', 'PERMISSION_DENIED')
  }
  if (method.body === undefined) {
    if (request.body.length > 0) found.push({ at: 'body', words: 'Request body must be empty.' })
  } else {
    const body = mediaType(request) === 'application/json' ? parseJson(request.body) : undefined
    if (!isRecord(body)) return failure(400, 'Invalid JSON payload received.', 'parseError', 'INVALID_ARGUMENT')
    const unsupported = method.api === 'calendar' ? EVENT_UNSUPPORTED.filter((name) => name in body) : []
    for (const name of unsupported)
      found.push({ at: name, words: `The sandbox does not implement "${name}" of an event.` })
    const known = new Set<string>(unsupported)
    found.push(...spoken(violations(body, method.body, OPTIONS).filter(({ at }) => !known.has(at))))
  }
  if (found.length === 0) return undefined
  const fieldViolations = found.map(({ at, words }) => ({ field: at, description: words }))
  return failure(400, found.map(({ words }) => words).join('\n'), 'badRequest', 'INVALID_ARGUMENT', [
    { '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations },
  ])
}

const OPTIONS = {
  closed: true,
  resolve: (reference: string): never => {
    throw new Error(`no references here: ${reference}`)
  },
}

const spoken = (found: readonly Violation[]): { at: string; words: string }[] =>
  found.map(({ at, rule }) => ({
    at,
    words:
      rule === 'unknown'
        ? `Invalid JSON payload received. Unknown name "${at}": Cannot find field.`
        : rule === 'missing'
          ? `Missing required field: ${at}`
          : `Invalid value at '${at}' (${rule})`,
  }))

/** Both ends, of the same kind, in order, with a time zone: what Calendar refuses otherwise. */
function badTimes(body: Record<string, unknown>): string | undefined {
  const end = (name: string): { date?: string; dateTime?: string } => (isRecord(body[name]) ? body[name] : {})
  const [from, to] = [end('start'), end('end')]
  if ((from.dateTime === undefined) !== (to.dateTime === undefined))
    return 'Start and end times must either both be date or both be dateTime.'
  const first = from.dateTime ?? from.date
  const last = to.dateTime ?? to.date
  if (first === undefined || last === undefined) return 'Missing end time.'
  if (from.dateTime !== undefined && from.date !== undefined) return 'Invalid start time.'
  const [a, b] = [Date.parse(first), Date.parse(last)]
  if (Number.isNaN(a) || Number.isNaN(b)) return 'Invalid start time.'
  return b < a || (from.date !== undefined && a === b) ? 'The specified time range is empty.' : undefined
}

const withQuery = (path: string, query: URLSearchParams): string =>
  query.size === 0 ? path : `${path}?${query.toString()}`

function failure(
  code: number,
  message: string,
  reason: string,
  status: string,
  details?: unknown[],
  headers: Record<string, string> = {},
): Reply {
  return json(
    code,
    {
      error: {
        code,
        message,
        errors: [{ message, domain: 'global', reason }],
        status,
        ...(details === undefined ? {} : { details }),
      },
    },
    headers,
  )
}

/** The emulator's refusals already have Google's shape. */
const retold = (reply: PlaneReply): Reply => ({
  status: reply.status,
  headers: { 'content-type': 'application/json; charset=UTF-8' },
  body: reply.body,
})

function unauthenticated(): Reply {
  const message =
    'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.'
  return json(
    401,
    {
      error: {
        code: 401,
        message,
        errors: [
          {
            message: 'Invalid Credentials',
            domain: 'global',
            reason: 'authError',
            location: 'Authorization',
            locationType: 'header',
          },
        ],
        status: 'UNAUTHENTICATED',
      },
    },
    { 'www-authenticate': 'Bearer realm="https://accounts.google.com/", error="invalid_token"' },
  )
}

function insufficient(method: GoogleMethod): Reply {
  const message = 'Request had insufficient authentication scopes.'
  return json(
    403,
    {
      error: {
        code: 403,
        message,
        errors: [{ message: 'Insufficient Permission', domain: 'global', reason: 'insufficientPermissions' }],
        status: 'PERMISSION_DENIED',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'ACCESS_TOKEN_SCOPE_INSUFFICIENT',
            domain: 'googleapis.com',
            metadata: {
              method: method.rpc,
              service: method.api === 'gmail' ? 'gmail.googleapis.com' : 'calendar-json.googleapis.com',
            },
          },
        ],
      },
    },
    {
      'www-authenticate': `Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="${method.scopes.join(' ')}"`,
    },
  )
}
