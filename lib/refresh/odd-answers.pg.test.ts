/**
 * What a token endpoint can answer instead of what it should, byte for byte, and what becomes of the stored tokens. Every
 * row goes over a real socket through the product's own egress client, provider client, refresh engine and vault.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { systemClock } from '@/lib/clock'
import { createEgress, type Egress } from '@/lib/egress/egress'
import { AppError } from '@/lib/errors'
import { newId, type ConnectionId, type TenantId } from '@/lib/ids'
import type { Log } from '@/lib/log'
import { createProviders } from '@/lib/providers/registry'
import { Secret } from '@/lib/secret'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createCredentials, type Credentials } from '@/lib/vault/credential'
import { createMirror } from '@/lib/vault/mirror'
import { openKeys } from '@/lib/vault/readiness'
import { createSpool } from '@/lib/vault/spool'

import { createRefresher, type Refresher } from './refresher'

/** One whose refresh token stays, one where a used one works for a moment, one where it is spent at once. */
const MODES = { google: 'static', slack: 'grace', github: 'strict' } as const
type Name = keyof typeof MODES
const ALL = ['google', 'slack', 'github'] as const

const MARK = 'c4n4ry'
const ACCESS = `new-access-${MARK}`
const REFRESH = `new-refresh-${MARK}`

let db: TestDatabases
let dataDir: string
let server: Server
let trap: Server
let trapped = 0
let egress: Egress
let credentials: Credentials
/** The engine as it is, and one that gives a provider half a second. */
let patient: Refresher
let hasty: Refresher
let tenantId: TenantId
const logged: string[] = []
const scripts = new Map<string, { readonly play: (socket: Socket) => void; asked: string[] }>()
let rows = 0

beforeAll(async () => {
  db = await createTestDatabases({ max: 4 })
  dataDir = await mkdtemp(path.join(tmpdir(), 'portcullis-odd-'))
  server = createServer((socket) => {
    let text = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      const length = Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? 0)
      if (end < 0 || text.length < end + 4 + length) return
      const body = text.slice(end + 4)
      const one = scripts.get(new URLSearchParams(body).get('refresh_token') ?? '')
      text = ''
      if (one === undefined) {
        socket.destroy()
        return
      }
      one.asked.push(body)
      one.play(socket)
    })
  })
  trap = createServer((socket) => {
    trapped += 1
    socket.destroy()
  })
  const origin = await listen(server)
  const elsewhere = await listen(trap)
  REDIRECT.to = elsewhere
  const egressOptions = { allow: [origin, elsewhere], allowUnsafe: true }
  egress = createEgress({ ...egressOptions, production: false })

  const take = (...args: unknown[]) => void logged.push(inspect(args, { depth: 12, maxStringLength: null }))
  // Stricter than the real one, which leaves out what errors say.
  const log: Log = { debug: take, info: take, warn: take, error: take, fatal: take, child: () => log }
  const opened = await openKeys({
    vaultDb: db.vault,
    kekFile: path.join(dataDir, 'keys', 'kek.json'),
    keyStoreDir: path.join(dataDir, 'keys', 'store'),
  })
  if (!opened.ok) throw new Error(opened.reason)
  const onIntegrityAlarm = () => undefined
  const mirror = createMirror(db.app)
  const deps = { vaultDb: db.vault, mirror, log }
  credentials = createCredentials({ ...deps, keys: opened.keys, clock: systemClock, onIntegrityAlarm })
  const journal = createSpool({ folder: path.join(dataDir, 'spool'), keys: opened.keys, log, onIntegrityAlarm })
  const app = { clientId: 'client', clientSecret: new Secret(`our-secret-${MARK}`), sandbox: false }
  const overrides = { tokenEndpoint: `${origin}/token` }
  const engine = (tokenTimeoutMs: number) =>
    createRefresher({
      ...deps,
      credentials,
      journal,
      timing: { breathMs: 5 },
      providers: createProviders({
        config: {
          production: false,
          egress: egressOptions,
          providers: Object.fromEntries(ALL.map((name) => [name, { ...app, overrides }])),
        },
        egress,
        clock: systemClock,
        tokenTimeoutMs,
      }),
    })
  patient = engine(20_000)
  hasty = engine(500)
  tenantId = newId('tenant')
  const slug = tenantId.replaceAll('_', '-')
  await db.app.tenant(tenantId, (tx) => tx.tenant.create({ data: { id: tenantId, name: 'w', slug } }))
})

afterAll(async () => {
  await Promise.all([patient.drain(), hasty.drain()])
  await egress.close()
  for (const one of [server, trap]) await new Promise((resolve) => one.close(resolve))
  await db.close()
  await rm(dataDir, { recursive: true, force: true })
})

async function listen(one: Server): Promise<string> {
  await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(one.address() as AddressInfo).port}` // a TCP server that listens
}

// ------------------------------------------------------------------------------------------------------- what is said

type Wire = string | Buffer | ((socket: Socket) => void)

const JSON_TYPE = 'content-type: application/json'

/** An answer, exactly as it is on the wire. */
function http(status: string, headers: readonly string[], body: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(body)
  const head = [`HTTP/1.1 ${status}`, ...headers, `content-length: ${bytes.length}`, 'connection: close', '', '']
  return Buffer.concat([Buffer.from(head.join('\r\n'), 'latin1'), bytes])
}
const ok = (body: unknown, ...headers: string[]) =>
  http(
    '200 OK',
    [JSON_TYPE, ...headers],
    typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  )

/** A success in the provider's dialect, with what differs. */
const tokens = (name: Name, extra: Readonly<Record<string, unknown>> = {}) => ({
  ...(name === 'slack' ? { ok: true, token_type: 'user' } : { token_type: 'bearer' }),
  access_token: ACCESS,
  refresh_token: REFRESH,
  expires_in: 1_800,
  ...extra,
})
const without = (name: Name, key: string) =>
  Object.fromEntries(Object.entries(tokens(name)).filter(([one]) => one !== key))

const DEAD = { google: 'invalid_grant', slack: 'invalid_refresh_token', github: 'bad_refresh_token' } as const
const OURS = { google: 'invalid_client', slack: 'bad_client_secret', github: 'incorrect_client_credentials' } as const
const PASSING = { google: 'temporarily_unavailable', slack: 'ratelimited', github: 'slow_down' } as const
const HALFWAY = { google: 'internal_failure', slack: 'fatal_error', github: 'server_error' } as const

const refusal = (name: Name, error: unknown, extra: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({ ...(name === 'slack' ? { ok: false } : {}), error, ...extra })

const jwt = (claims: object) =>
  ['{"alg":"RS256"}', JSON.stringify(claims), 'signature']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.')

const page = `<!doctype html><title>invalid_grant bad_refresh_token invalid_refresh_token ${ACCESS}</title>`
const REDIRECT = { to: '' }
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toUTCString()
const bytesWritten: number[] = []

/** Writes until the other side has had enough. */
const flood = (head: string, chunk: Buffer) => (socket: Socket) => {
  const more = () => {
    while (!socket.destroyed && socket.write(chunk));
  }
  socket.on('drain', more)
  socket.on('close', () => bytesWritten.push(socket.bytesWritten))
  socket.write(head)
  more()
}

const drip = (head: string, text: string) => (socket: Socket) => {
  socket.write(head)
  let at = 0
  const timer = setInterval(() => socket.write(text.charAt(at++ % text.length)), 20)
  socket.on('close', () => clearInterval(timer))
}

/** Half a gigabyte of spaces in half a megabyte. */
const bomb = () => {
  const member = gzipSync(Buffer.alloc(8 * 1024 * 1024, 32))
  return Buffer.concat(Array.from({ length: 64 }, () => member))
}

// ----------------------------------------------------------------------------------------------------- what follows

interface Issued {
  readonly access?: string
  /** Undefined: the old one stays. */
  readonly refresh?: string | undefined
  readonly seconds?: number | Readonly<Record<Name, number>>
  readonly scopes?: readonly string[]
}
type Expected =
  | ({ readonly kind: 'issued' } & Issued)
  | {
      readonly kind: 'weather' | 'faulted' | 'lost' | 'rejected' | 'app_fault' | 'permanent'
      readonly code?: string
      readonly waitSeconds?: readonly [number, number]
    }

interface Row {
  readonly what: string
  readonly of?: readonly Name[]
  readonly wire: (name: Name) => Wire
  readonly hasty?: true
  readonly is: Expected | ((name: Name) => Expected)
}

const issued = (more: Issued = {}): Expected => ({ kind: 'issued', refresh: REFRESH, ...more })
const kept = (more: Issued = {}): Expected => ({ kind: 'issued', refresh: undefined, ...more })
const DOCUMENTED = { google: 3_599, slack: 43_200, github: 28_800 } as const
const OLD_SCOPES = ['chat:write', 'repo'] as const
const YEAR = 365 * 86_400

const good: Row[] = [
  { what: 'what it should answer', wire: (name) => ok(tokens(name)), is: issued({ seconds: 1_800 }) },
  { what: 'no refresh token', wire: (name) => ok(without(name, 'refresh_token')), is: kept() },
  ...[
    null,
    '',
    17,
    {},
    [REFRESH],
    false,
    `${REFRESH}\r\nx: y`,
    `${REFRESH}\u0000`,
    'ü'.repeat(9),
    'r'.repeat(20_000),
  ].map((value): Row => ({
    what: `a refresh token that is ${inspect(value).slice(0, 40)}`,
    wire: (name) => ok(tokens(name, { refresh_token: value })),
    is: kept(),
  })),
  { what: 'no lifetime', wire: (name) => ok(without(name, 'expires_in')), is: issued({ seconds: DOCUMENTED }) },
  ...(
    [
      [null, DOCUMENTED],
      ['3600', 3_600],
      ['3600.0', 3_600],
      ['', DOCUMENTED],
      [0, DOCUMENTED],
      ['0', DOCUMENTED],
      [-1, DOCUMENTED],
      ['-3600', DOCUMENTED],
      [0.4, DOCUMENTED],
      [100.9, 100],
      [1e12, YEAR],
      ['soon', DOCUMENTED],
      [true, DOCUMENTED],
      [[3_600], DOCUMENTED],
      [{ seconds: 5 }, DOCUMENTED],
    ] as const
  ).map(([value, seconds]): Row => ({
    what: `a lifetime that is ${inspect(value)}`,
    wire: (name) => ok(tokens(name, { expires_in: value })),
    is: issued({ seconds }),
  })),
  {
    what: 'a lifetime beyond every number',
    wire: (name) => ok(JSON.stringify(tokens(name)).replace('1800', '1e400')),
    is: issued({ seconds: DOCUMENTED }),
  },
  { what: 'a narrower scope', wire: (name) => ok(tokens(name, { scope: 'repo' })), is: issued({ scopes: ['repo'] }) },
  {
    what: 'a wider scope, oddly separated and repeated',
    wire: (name) => ok(tokens(name, { scope: ' repo,gist  repo ,chat:write' })),
    is: issued({ scopes: ['chat:write', 'gist', 'repo'] }),
  },
  { what: 'scopes as a list', wire: (name) => ok(tokens(name, { scope: ['repo'] })), is: issued({ scopes: ['repo'] }) },
  { what: 'no scope', wire: (name) => ok(tokens(name)), is: issued({ scopes: OLD_SCOPES }) },
  { what: 'an empty scope', wire: (name) => ok(tokens(name, { scope: '' })), is: issued({ scopes: OLD_SCOPES }) },
  {
    what: 'a scope that is a number',
    wire: (name) => ok(tokens(name, { scope: 5 })),
    is: issued({ scopes: OLD_SCOPES }),
  },
  { what: 'a byte order mark', wire: (name) => ok(`\uFEFF${JSON.stringify(tokens(name))}`), is: issued() },
  {
    what: 'JSON called HTML',
    wire: (name) => http('200 OK', ['content-type: text/html; charset=utf-8'], JSON.stringify(tokens(name))),
    is: issued(),
  },
  { what: 'no content type', wire: (name) => http('200 OK', [], JSON.stringify(tokens(name))), is: issued() },
  {
    what: 'another charset that says the same',
    wire: (name) =>
      http('200 OK', ['content-type: application/json; charset=iso-8859-1'], JSON.stringify(tokens(name))),
    is: issued(),
  },
  {
    what: 'a packed answer',
    wire: (name) => ok(gzipSync(JSON.stringify(tokens(name))), 'content-encoding: gzip'),
    is: issued(),
  },
  {
    what: 'chunks of one byte with extensions and a trailer',
    wire: (name) =>
      `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n${Array.from(
        JSON.stringify(tokens(name)),
      )
        .map((one) => `1;x=y\r\n${one}\r\n`)
        .join('')}0\r\nx-trailer: ${ACCESS}\r\n\r\n`,
    is: issued(),
  },
  {
    what: 'a body that ends with the connection, in HTTP/1.0',
    wire: (name) => (socket) => socket.end(`HTTP/1.0 200 OK\r\n${JSON_TYPE}\r\n\r\n${JSON.stringify(tokens(name))}`),
    is: issued(),
  },
  {
    what: '103 Early Hints twice first',
    wire: (name) =>
      Buffer.concat([
        Buffer.from('HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n'.repeat(2)),
        ok(tokens(name)),
      ]),
    is: issued(),
  },
  { what: 'status 201', wire: (name) => http('201 Created', [JSON_TYPE], JSON.stringify(tokens(name))), is: issued() },
  {
    what: 'keys twice: the last counts',
    wire: (name) => ok(`{"access_token":"first","refresh_token":"first",${JSON.stringify(tokens(name)).slice(1)}`),
    is: issued(),
  },
  {
    what: 'a thousand levels of what nobody asked for',
    wire: (name) => ok(`{"x":${'['.repeat(1_000)}${']'.repeat(1_000)},${JSON.stringify(tokens(name)).slice(1)}`),
    is: issued(),
  },
  {
    what: 'names of prototypes',
    wire: (name) => ok(`{"__proto__":{"error":"x"},"constructor":1,${JSON.stringify(tokens(name)).slice(1)}`),
    is: issued(),
  },
  { what: 'no token type', wire: (name) => ok(without(name, 'token_type')), is: issued() },
  { what: 'BEARER', wire: (name) => ok(tokens(name, { token_type: ' BEARER ' })), is: issued() },
  { what: 'an error that is null', wire: (name) => ok(tokens(name, { error: null })), is: issued() },
  { what: 'an error that is empty', wire: (name) => ok(tokens(name, { error: '' })), is: issued() },
  {
    what: 'a token of 8 kB',
    wire: (name) => ok(tokens(name, { access_token: 'a'.repeat(8_192) })),
    is: issued({ access: 'a'.repeat(8_192) }),
  },
  {
    what: 'a date ten years ahead',
    wire: (name) => ok(tokens(name), `date: ${inDays(3_650)}`),
    is: issued({ seconds: 1_800 }),
  },
  {
    what: 'an ID token that is none',
    of: ['google'],
    wire: (name) => ok(tokens(name, { id_token: 'no.jwt' })),
    is: issued(),
  },
  {
    what: 'an ID token of the same person',
    of: ['google'],
    wire: (name) => ok(tokens(name, { id_token: jwt({ sub: 'T1:U1' }) })),
    is: issued(),
  },
  {
    what: 'a token within authed_user',
    of: ['slack'],
    wire: (name) => ok({ ok: true, team: { id: 'T1' }, authed_user: { id: 'U1', ...tokens(name) } }),
    is: issued(),
  },
]

const weather = (code: string, waitSeconds?: readonly [number, number]): Expected => ({
  kind: 'weather',
  code,
  ...(waitSeconds === undefined ? {} : { waitSeconds }),
})
const passing: Row[] = [
  { what: '429', wire: () => http('429 Too Many', []), is: weather('rate_limited') },
  {
    what: '429 for 30 s',
    wire: () => http('429 Too Many', ['retry-after: 30']),
    is: weather('rate_limited', [29, 45]),
  },
  {
    what: '429 until a date',
    wire: () => http('429 Too Many', [`retry-after: ${new Date(Date.now() + 120_000).toUTCString()}`]),
    is: weather('rate_limited', [100, 140]),
  },
  {
    what: '429 for ten years',
    wire: () => http('429 Too Many', ['retry-after: 315360000']),
    is: weather('rate_limited', [3_000, 3_600]),
  },
  {
    what: '429 until the year 2500',
    wire: () => http('429 Too Many', ['retry-after: Fri, 01 Jan 2500 00:00:00 GMT']),
    is: weather('rate_limited', [3_000, 3_600]),
  },
  {
    what: '429 for minus five seconds',
    wire: () => http('429 Too Many', ['retry-after: -5']),
    is: weather('rate_limited', [0, 20]),
  },
  {
    what: '429 for a while',
    wire: () => http('429 Too Many', [`retry-after: a while ${ACCESS}`]),
    is: weather('rate_limited', [0, 20]),
  },
  {
    what: '429 with a word that is final elsewhere',
    wire: (name) => http('429 Too Many', [JSON_TYPE], refusal(name, DEAD[name])),
    is: weather('rate_limited'),
  },
  {
    what: '503 as a page',
    wire: () => http('503 Unavailable', ['content-type: text/html', 'retry-after: 60'], page),
    is: weather('http_503', [59, 80]),
  },
  { what: '408', wire: () => http('408 Timeout', [], ''), is: weather('http_408') },
  {
    what: 'a redirect (302) elsewhere',
    wire: () => http('302 Found', [`location: ${REDIRECT.to}/token`]),
    is: weather('http_302'),
  },
  {
    what: 'a redirect (307) elsewhere, which would carry the token along',
    wire: () => http('307 Temporary', [`location: ${REDIRECT.to}/token`]),
    is: weather('http_307'),
  },
  {
    what: 'a redirect (308) to itself',
    wire: () => http('308 Permanent', ['location: /token']),
    is: weather('http_308'),
  },
  {
    what: 'a redirect with a final word in it',
    wire: (name) => http('302 Found', [JSON_TYPE, `location: ${REDIRECT.to}/`], refusal(name, DEAD[name])),
    is: weather('http_302'),
  },
  {
    what: 'a redirect with tokens in it',
    wire: (name) => http('301 Moved', [JSON_TYPE, `location: ${REDIRECT.to}/`], JSON.stringify(tokens(name))),
    is: weather('http_301'),
  },
  {
    what: 'a captive portal that says 200',
    wire: () => http('200 OK', ['content-type: text/html'], page),
    is: weather('html'),
  },
  { what: 'a page called JSON after a byte order mark', wire: () => ok(`\uFEFF \n${page}`), is: weather('html') },
  {
    what: 'a firewall that says 403',
    wire: () => http('403 Forbidden', ['content-type: text/html'], page),
    is: weather('html'),
  },
  {
    what: '404 in plain text',
    wire: () => http('404 Not Found', ['content-type: text/plain'], `no ${ACCESS}`),
    is: weather('http_404'),
  },
  { what: '400 and nothing', wire: () => http('400 Bad Request', []), is: weather('http_400') },
  {
    what: 'its own word for later',
    wire: (name) => http('400 Bad Request', [JSON_TYPE], refusal(name, PASSING[name])),
    is: (name) => weather(PASSING[name]),
  },
]

const fault = (code: string): Expected => ({ kind: 'faulted', code })
const faulted: Row[] = [
  {
    what: '500 with a final word',
    wire: (name) => http('500 Error', [JSON_TYPE], refusal(name, DEAD[name], { access_token: ACCESS })),
    is: fault('http_500'),
  },
  {
    what: '502 as a page',
    wire: () => http('502 Bad Gateway', ['content-type: text/html'], page),
    is: fault('http_502'),
  },
  { what: '504 and nothing', wire: () => http('504 Timeout', []), is: fault('http_504') },
  {
    what: '599 with tokens',
    wire: (name) => http('599 What', [JSON_TYPE], JSON.stringify(tokens(name))),
    is: fault('http_599'),
  },
  { what: '200 and nothing', wire: () => ok(''), is: fault('unreadable_answer') },
  { what: '204', wire: () => 'HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n', is: fault('unreadable_answer') },
  {
    what: 'half of it',
    wire: (name) => ok(JSON.stringify(tokens(name)).slice(0, -20)),
    is: fault('unreadable_answer'),
  },
  { what: 'it twice', wire: (name) => ok(JSON.stringify(tokens(name)).repeat(2)), is: fault('unreadable_answer') },
  { what: 'a list', wire: (name) => ok([tokens(name)]), is: fault('unreadable_answer') },
  { what: 'a text', wire: (name) => ok(`"${DEAD[name]}"`), is: fault('unreadable_answer') },
  { what: 'null', wire: () => ok('null'), is: fault('unreadable_answer') },
  { what: 'a form', wire: () => ok(`access_token=${ACCESS}&refresh_token=${REFRESH}`), is: fault('unreadable_answer') },
  {
    what: 'zero bytes within',
    wire: (name) => ok(`${JSON.stringify(tokens(name))}\0`),
    is: fault('unreadable_answer'),
  },
  {
    what: 'UTF-16',
    wire: (name) => ok(Buffer.from(JSON.stringify(tokens(name)), 'utf16le')),
    is: fault('unreadable_answer'),
  },
  {
    what: 'Latin-1',
    wire: (name) => ok(Buffer.from(JSON.stringify(tokens(name, { x: 'ü' })), 'latin1')),
    is: fault('unreadable_answer'),
  },
  {
    what: 'packed twice',
    wire: (name) => ok(gzipSync(gzipSync(JSON.stringify(tokens(name)))), 'content-encoding: gzip'),
    is: fault('unreadable_answer'),
  },
  {
    what: 'called packed, and not',
    wire: (name) => ok(tokens(name), 'content-encoding: gzip'),
    is: fault('unreadable_answer'),
  },
  {
    what: 'packed in a way nobody asked for',
    wire: (name) => ok(tokens(name), 'content-encoding: zstd'),
    is: fault('unreadable_answer'),
  },
  { what: 'nothing of use', wire: (name) => ok(name === 'slack' ? { ok: true } : {}), is: fault('no_token') },
  ...[null, '', 7, {}, [ACCESS], `${ACCESS}\r\nx: y`, `${ACCESS}\u0000`, `${ACCESS} `, 'ü', 'a'.repeat(20_000)].map(
    (value): Row => ({
      what: `a token that is ${inspect(value).slice(0, 40)}`,
      wire: (name) => ok(tokens(name, { access_token: value })),
      is: fault('no_token'),
    }),
  ),
  ...['mac', 'DPoP', 'pop', 'N_A'].map((type): Row => ({
    what: `a token of the scheme ${type}`,
    wire: (name) => ok(tokens(name, { token_type: type })),
    is: fault('no_token'),
  })),
  {
    what: 'a bot’s token',
    of: ['slack'],
    wire: (name) => ok(tokens(name, { token_type: 'bot' })),
    is: fault('no_token'),
  },
  {
    what: 'a refusal and tokens at once',
    wire: (name) => ok({ ...tokens(name), ...(name === 'slack' ? { ok: false } : {}), error: DEAD[name] }),
    is: fault('contradictory_answer'),
  },
  {
    what: 'its own word for having failed half-way',
    wire: (name) => http('400 Bad Request', [JSON_TYPE], refusal(name, HALFWAY[name])),
    is: (name) => fault(HALFWAY[name]),
  },
  {
    what: 'a token of 100 kB',
    wire: (name) => ok(tokens(name, { access_token: 'a'.repeat(100_000) })),
    is: fault('too_large'),
  },
  { what: '10 MB, said before', wire: () => ok(Buffer.alloc(10_000_000, 32)), is: fault('too_large') },
  {
    what: 'a body without end',
    wire: () => flood(`HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nconnection: close\r\n\r\n`, Buffer.alloc(65_536, 32)),
    is: fault('too_large'),
  },
  {
    what: 'half a gigabyte in half a megabyte',
    wire: () => ok(bomb(), 'content-encoding: gzip'),
    is: fault('too_large'),
  },
]

const lostAs = (code: string): Expected => ({ kind: 'lost', code })
const lost: Row[] = [
  { what: 'silence', hasty: true, wire: () => () => undefined, is: lostAs('timeout') },
  {
    what: 'headers, one byte at a time',
    hasty: true,
    wire: () => drip('HTTP/1.1 200 OK\r\nx: ', 'y'),
    is: lostAs('timeout'),
  },
  {
    what: 'a body, one byte at a time',
    hasty: true,
    wire: (name) => drip(`HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\n\r\n`, JSON.stringify(tokens(name))),
    is: lostAs('timeout'),
  },
  {
    what: 'early hints and then nothing',
    hasty: true,
    wire: () => 'HTTP/1.1 103 Early Hints\r\n\r\n',
    is: lostAs('timeout'),
  },
  {
    // The HTTP client takes it for a broken answer; nothing of ours asks for it (RFC 9110 §10.1.1).
    what: 'a 100 Continue that nobody asked for',
    wire: (name) => Buffer.concat([Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'), ok(tokens(name))]),
    is: lostAs('connection_lost'),
  },
  { what: 'a reset at once', wire: () => (socket) => socket.resetAndDestroy(), is: lostAs('connection_lost') },
  { what: 'the end at once', wire: () => (socket) => socket.end(), is: lostAs('connection_lost') },
  {
    what: 'a reset within the body',
    wire: (name) => (socket) =>
      socket.write(
        `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\ncontent-length: 9999\r\n\r\n${JSON.stringify(tokens(name))}`,
        () => socket.resetAndDestroy(),
      ),
    is: lostAs('connection_lost'),
  },
  {
    what: 'less than it said',
    wire: (name) => (socket) =>
      socket.end(`HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\ncontent-length: 9999\r\n\r\n${JSON.stringify(tokens(name))}`),
    is: lostAs('connection_lost'),
  },
  {
    what: 'chunks without the last',
    wire: (name) => (socket) =>
      socket.end(
        `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\ntransfer-encoding: chunked\r\n\r\n${JSON.stringify(tokens(name)).length.toString(16)}\r\n${JSON.stringify(tokens(name))}\r\n`,
      ),
    is: lostAs('connection_lost'),
  },
  {
    what: 'something that is not HTTP',
    wire: () => `220 mail.example ESMTP ${ACCESS}\r\n`,
    is: lostAs('connection_lost'),
  },
  {
    what: 'headers without end',
    wire: () => flood('HTTP/1.1 200 OK\r\n', Buffer.from(`x-filler: ${'y'.repeat(4_000)}\r\n`)),
    is: lostAs('connection_lost'),
  },
  {
    what: 'two lengths',
    wire: (name) =>
      `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\ncontent-length: 5\r\ncontent-length: 500\r\n\r\n${JSON.stringify(tokens(name))}`,
    is: lostAs('connection_lost'),
  },
]

const rejectedAs = (code: string): Expected => ({ kind: 'rejected', code })
const refused: Row[] = [
  {
    what: 'an unheard-of word',
    wire: (name) => http('400 Bad Request', [JSON_TYPE], refusal(name, 'moon_phase')),
    is: rejectedAs('moon_phase'),
  },
  {
    what: 'the final word in another case',
    wire: (name) =>
      http(
        '400 Bad Request',
        [JSON_TYPE],
        refusal(
          name,
          DEAD[name].replace(/^./, (one) => one.toUpperCase()),
        ),
      ),
    is: (name) => rejectedAs(DEAD[name].replace(/^./, (one) => one.toUpperCase())),
  },
  {
    what: 'another provider’s final word',
    wire: (name) => http('400 Bad Request', [JSON_TYPE], refusal(name, name === 'google' ? DEAD.github : DEAD.google)),
    is: (name) => rejectedAs(name === 'google' ? DEAD.github : DEAD.google),
  },
  {
    what: '401 of an API',
    wire: () => http('401 Unauthorized', [JSON_TYPE], '{"message":"Bad credentials"}'),
    is: rejectedAs('http_401'),
  },
  {
    what: 'an error that is an object',
    of: ['google', 'github'],
    wire: () => http('403 Forbidden', [JSON_TYPE], '{"error":{"code":403}}'),
    is: rejectedAs('http_403'),
  },
  { what: 'no, without a word', of: ['slack'], wire: () => ok('{"ok":false}'), is: rejectedAs('unknown_error') },
  ...[
    `x\n{"level":60,"msg":"${ACCESS}"}`,
    ACCESS,
    `ghr_${MARK}1B4a2e77838347a7E420ce178F2E7c`,
    `<script>${MARK}</script>`,
    `\u001b[31m${MARK}`,
    'e'.repeat(5_000),
  ].map((word): Row => ({
    what: `a word that would spoil the log: ${inspect(word).slice(0, 40)}`,
    wire: (name) => http('400 Bad Request', [JSON_TYPE], refusal(name, word, { error_description: `${ACCESS}\n` })),
    is: rejectedAs('unknown_error'),
  })),
  {
    what: 'tokens of somebody else, by its own ID token',
    of: ['google'],
    wire: (name) => ok(tokens(name, { id_token: jwt({ sub: 'somebody-else' }) })),
    is: rejectedAs('subject_mismatch'),
  },
  {
    what: 'tokens of somebody else, by its own account',
    of: ['slack'],
    wire: (name) => ok({ ok: true, team: { id: 'T1' }, authed_user: { id: 'U2', ...tokens(name) } }),
    is: rejectedAs('subject_mismatch'),
  },
]

const words: Row[] = [
  ...(['200 OK', '400 Bad Request', '401 Unauthorized'] as const).flatMap((status): Row[] => [
    {
      what: `${status}: our registration is wrong`,
      wire: (name) => http(status, [JSON_TYPE], refusal(name, OURS[name], { error_description: ACCESS })),
      is: (name) => ({ kind: 'app_fault', code: OURS[name] }),
    },
    {
      what: `${status}: the grant is gone`,
      wire: (name) => http(status, [JSON_TYPE], refusal(name, DEAD[name], { error_description: `${REFRESH}\r\n` })),
      is: (name) => ({ kind: 'permanent', code: DEAD[name] }),
    },
  ]),
  {
    what: 'the grant is gone, in plain text after a byte order mark',
    wire: (name) => http('400 Bad Request', ['content-type: text/plain'], `\uFEFF${refusal(name, DEAD[name])}`),
    is: (name) => ({ kind: 'permanent', code: DEAD[name] }),
  },
  {
    what: 'the grant is gone, packed',
    wire: (name) => http('400 Bad Request', [JSON_TYPE, 'content-encoding: gzip'], gzipSync(refusal(name, DEAD[name]))),
    is: (name) => ({ kind: 'permanent', code: DEAD[name] }),
  },
]

// ---------------------------------------------------------------------------------------------------------- the run

/** What must come of a failure, per mode: the error a caller gets, the state, and how often the provider was asked. */
function consequence(kind: Exclude<Expected['kind'], 'issued'>, mode: (typeof MODES)[Name]) {
  const active = { state: 'active', reason: null }
  switch (kind) {
    case 'weather':
      return { error: 'provider.unavailable', asked: 1, failures: 1, rejections: 0, ...active }
    case 'faulted':
      return { error: 'provider.unavailable', asked: mode === 'strict' ? 1 : 2, failures: 1, rejections: 0, ...active }
    case 'lost':
      return mode === 'strict'
        ? {
            error: 'connection.reauthorization_required',
            asked: 2,
            failures: 0,
            rejections: 0,
            state: 'reauthorization_required',
            reason: 'lost_rotation',
          }
        : { error: 'provider.unavailable', asked: 2, failures: 1, rejections: 0, ...active }
    case 'rejected':
      return { error: 'provider.rejected', asked: 1, failures: 0, rejections: 1, ...active }
    case 'app_fault':
      return { error: 'provider.misconfigured', asked: 1, failures: 0, rejections: 0, ...active }
    case 'permanent':
      return {
        error: 'connection.reauthorization_required',
        asked: 1,
        failures: 0,
        rejections: 0,
        state: 'reauthorization_required',
        reason: undefined,
      }
  }
}

async function play(row: Row, name: Name): Promise<void> {
  rows += 1
  const old = { access: `old-access-${rows}-`, refresh: `old-refresh-${rows}-` }
  const script = { asked: [] as string[], play: player(row.wire(name)) }
  scripts.set(old.refresh, script)
  const connectionId = await connection(name, old)
  const before = await stored(connectionId)

  const engine = row.hasty === true ? hasty : patient
  const startedAt = Date.now()
  const outcome = await engine.accessToken(tenantId, connectionId, { minGeneration: 1 }).then(
    ({ token }) => ({ token: token.reveal(), error: undefined }),
    (error: unknown) => ({ token: undefined, error }),
  )
  await engine.drain()
  const after = await stored(connectionId)
  const expected = typeof row.is === 'function' ? row.is(name) : row.is

  for (const body of script.asked) expect(new URLSearchParams(body).get('refresh_token')).toBe(old.refresh)
  // Nothing of an answer and none of our own secrets is left where people and machines read.
  const readable = [
    ...logged,
    inspect(outcome.error, { depth: 12, maxStringLength: null }),
    await told(connectionId),
  ].join('\n')
  for (const secret of [MARK, old.access, old.refresh]) expect(readable).not.toContain(secret)

  if (expected.kind === 'issued') {
    expect(outcome.error).toBeUndefined()
    expect(outcome.token).toBe(expected.access ?? ACCESS)
    expect(script.asked).toHaveLength(1)
    expect(after).toMatchObject({ generation: 2, state: 'active', failures: 0, rejections: 0 })
    const current = await credentials.read(tenantId, connectionId)
    expect((await credentials.openRefreshToken(current!)).reveal()).toBe(expected.refresh ?? old.refresh) // it was just written
    const seconds = typeof expected.seconds === 'object' ? expected.seconds[name] : expected.seconds
    if (seconds !== undefined) {
      const left = (current?.accessLeftMs ?? 0) / 1_000
      expect(left).toBeLessThanOrEqual(seconds + 1)
      expect(left).toBeGreaterThan(seconds - 30 - (Date.now() - startedAt) / 1_000)
    }
    if (expected.scopes !== undefined) {
      expect(after['granted_scopes']).toEqual(expected.scopes)
      const [shown] = await db.adminQuery('app', 'SELECT granted_scopes FROM connection WHERE id = $1', [connectionId])
      expect(shown).toEqual({ granted_scopes: expected.scopes })
    }
    return
  }
  const follows = consequence(expected.kind, MODES[name])
  expect(outcome.error).toBeInstanceOf(AppError)
  expect(outcome.error).toMatchObject({ code: follows.error })
  expect(script.asked).toHaveLength(follows.asked)
  // What was stored is there, byte for byte, whatever state it is in.
  for (const column of [
    'access_sealed',
    'refresh_sealed',
    'dek_wrapped',
    'generation',
    'key_version',
    'granted_scopes',
  ])
    expect(after[column], column).toEqual(before[column])
  expect(after).toMatchObject({
    state: follows.state,
    failures: follows.failures,
    rejections: follows.rejections,
    lease_owner: null,
  })
  expect(after['state_reason']).toBe(follows.reason === undefined ? expected.code : follows.reason)
  if (expected.code !== undefined) expect(await lastCode(connectionId)).toBe(expected.code)
  if (expected.waitSeconds !== undefined) {
    const [least, most] = expected.waitSeconds
    const wait = (after['refresh_at'] as Date).getTime() - Date.now() // a timestamptz column
    expect(wait / 1_000).toBeGreaterThanOrEqual(least - (Date.now() - startedAt) / 1_000)
    expect(wait / 1_000).toBeLessThanOrEqual(most)
  }
}

const blame = (name: Name) => (error: unknown) => {
  if (error instanceof Error) error.message = `${name} (${MODES[name]}): ${error.message}`
  throw error
}

function player(wire: Wire): (socket: Socket) => void {
  return typeof wire === 'function' ? wire : (socket) => socket.write(wire)
}

async function connection(
  name: Name,
  old: { readonly access: string; readonly refresh: string },
): Promise<ConnectionId> {
  const connectionId = newId('connection')
  const app = createProviderKey(name)
  const { generation } = await credentials.create({
    tenantId,
    connectionId,
    provider: name,
    providerApp: app,
    subject: 'T1:U1',
    tokens: {
      accessToken: new Secret(old.access),
      refreshToken: new Secret(old.refresh),
      accessExpiresAt: new Date(Date.now() - 1_000),
      refreshExpiresAt: null,
      grantedScopes: [...OLD_SCOPES],
    },
  })
  await db.app.tenant(tenantId, (tx) =>
    tx.connection.create({
      data: {
        tenantId,
        id: connectionId,
        provider: name,
        providerApp: app,
        subject: 'T1:U1',
        accountLabel: 'someone',
        access: 'allowed',
        state: 'active',
        stateAt: new Date(0),
        credentialGeneration: generation,
        grantedScopes: [...OLD_SCOPES],
      },
    }),
  )
  return connectionId
}

const keys = new Map<Name, string>()
function createProviderKey(name: Name): string {
  const known = keys.get(name)
  if (known !== undefined) return known
  const providers = createProviders({
    config: {
      production: false,
      egress: { allow: [], allowUnsafe: false },
      providers: { [name]: { clientId: 'client', clientSecret: new Secret('s'), overrides: {}, sandbox: false } },
    },
    egress,
    clock: systemClock,
  })
  const key = providers.get(name)?.app.key ?? ''
  keys.set(name, key)
  return key
}

async function stored(connectionId: ConnectionId): Promise<Record<string, unknown>> {
  const [row] = await db.adminQuery('vault', 'SELECT * FROM credential WHERE connection_id = $1', [connectionId])
  return row ?? {}
}

async function lastCode(connectionId: ConnectionId): Promise<unknown> {
  const [row] = await db.adminQuery(
    'app',
    `SELECT code FROM refresh_event WHERE connection_id = $1 AND outcome NOT LIKE 'state:%' ORDER BY at DESC LIMIT 1`,
    [connectionId],
  )
  return row?.['code']
}

/** All that is written about it anywhere but under seal. */
async function told(connectionId: ConnectionId): Promise<string> {
  const rows = await Promise.all([
    db.adminQuery('app', 'SELECT row_to_json(c)::text AS t FROM connection c WHERE id = $1', [connectionId]),
    db.adminQuery('app', 'SELECT row_to_json(e)::text AS t FROM refresh_event e WHERE connection_id = $1', [
      connectionId,
    ]),
    db.adminQuery('vault', 'SELECT row_to_json(o)::text AS t FROM audit_outbox o WHERE record::text LIKE $1', [
      `%${connectionId}%`,
    ]),
    db.adminQuery('vault', 'SELECT row_to_json(c)::text AS t FROM credential c WHERE connection_id = $1', [
      connectionId,
    ]),
  ])
  return rows
    .flat()
    .map((row) => String(row['t']))
    .join('\n')
}

describe.each([
  ['an answer that can be used', good],
  ['weather', passing],
  ['an answer of which nobody knows what was done', faulted],
  ['an answer that was lost', lost],
  ['a refusal', refused],
  ['a documented word', words],
] as const)('%s', (_kind, table) => {
  for (const row of table)
    it(row.what, { timeout: 60_000 }, async () => {
      logged.length = 0
      await Promise.all((row.of ?? ALL).map((name) => play(row, name).catch(blame(name))))
    })
})

describe('what is too much', () => {
  const row = (what: string) => faulted.find((one) => one.what === what)!

  it('half a gigabyte in half a megabyte is never all in memory', async () => {
    const before = process.memoryUsage().rss
    let most = before
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 1)
    try {
      await play(row('half a gigabyte in half a megabyte'), 'github')
    } finally {
      clearInterval(timer)
    }
    expect(Math.max(most, process.memoryUsage().rss) - before).toBeLessThan(128 * 1024 * 1024)
  })

  it('a body without end is not listened to for longer than its limit', async () => {
    bytesWritten.length = 0
    await play(row('a body without end'), 'github')
    // The sockets' own buffers are all that was sent beyond the 64 kB that were read.
    for (const bytes of bytesWritten) expect(bytes).toBeLessThan(16 * 1024 * 1024)
  })
})

it('a refused connection sent nothing, so it is weather even where a token is spent once', async () => {
  const gone = createServer()
  const origin = await listen(gone)
  await new Promise((resolve) => gone.close(resolve))
  const own = createEgress({ allow: [origin], allowUnsafe: true, production: false })
  try {
    const providers = createProviders({
      config: {
        production: false,
        egress: { allow: [origin], allowUnsafe: true },
        providers: {
          github: {
            clientId: 'client',
            clientSecret: new Secret('s'),
            overrides: { tokenEndpoint: `${origin}/token` },
            sandbox: false,
          },
        },
      },
      egress: own,
      clock: systemClock,
    })
    expect(await providers.get('github')?.refresh(new Secret('r'), {})).toEqual({
      kind: 'weather',
      code: 'unreachable',
    })
  } finally {
    await own.close()
  }
})

it('no redirect was followed, by nobody', () => {
  expect(trapped).toBe(0)
})

it('the table is long enough to mean something', () => {
  expect([...good, ...passing, ...faulted, ...lost, ...refused, ...words].length).toBeGreaterThanOrEqual(60)
})
