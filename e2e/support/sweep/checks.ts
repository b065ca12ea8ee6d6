/**
 * The questions of the authorization sweep, as functions over anything that answers: the product, or a fake that leaks on
 * purpose. Each returns findings in plain words; an empty list means that nothing was found.
 *
 * @module
 */
import { isPermitted, PERMISSIONS, type Permission } from '../../../lib/tenancy/permission'
import type { Role } from '../../../lib/tenancy/principal'
import type { Answer, SendOptions } from '../visitor'
import { bodyOf, missingId, requestOf, type Ids, type Operation, type Position, type Request } from './operations'

export type Send = (path: string, options?: SendOptions) => Promise<Answer>

export interface Actor {
  readonly name: string
  readonly send: Send
}

/** Recorded ids by prefix. */
export type Recorded = ReadonlyMap<string, string>

const VOLATILE = new Set([
  'date',
  'x-request-id',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'etag',
])

/** An answer as the same text for the same information: without what differs each time, and without the asked-for id. */
export function comparable(answer: Answer, asked: string): string {
  const nonce = /'nonce-([^']+)'/.exec(String(answer.headers['content-security-policy']))?.[1]
  const headers = Object.entries(answer.headers)
    .filter(([name]) => !VOLATILE.has(name))
    .map(([name, value]) => `${name}: ${String(value)}`)
    .sort()
  let text = [String(answer.status), ...headers, '', answer.body].join('\n').replaceAll(asked, '<id>')
  if (nonce !== undefined) text = text.replaceAll(nonce, '<nonce>')
  return text
}

/** @returns the first difference, undefined when there is none */
export function difference(a: string, b: string): string | undefined {
  if (a === b) return undefined
  let at = 0
  while (at < a.length && a[at] === b[at]) at += 1
  const around = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 60))
  return `${around(a)} against ${around(b)}`
}

/** A few requests at a time: enough to be quick, little enough for a small machine. */
export async function each<T>(items: readonly T[], work: (item: T) => Promise<string[]>, width = 6): Promise<string[]> {
  const findings: string[][] = items.map(() => [])
  let next = 0
  const run = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index]
      if (item !== undefined) findings[index] = await work(item)
    }
  }
  await Promise.all(Array.from({ length: width }, run))
  return findings.flat()
}

const name = (operation: Operation, actor: Actor) => `${operation.id} by ${actor.name}`
const send = (actor: Actor, { path, options }: Request) => actor.send(path, options)
const codeOf = (answer: Answer): string | undefined => /^\{"error":\{"code":"([a-z._]+)"/.exec(answer.body)?.[1]

/** Real ids where there are any, so that only the caller is wrong. */
export const realIds =
  (recorded: Recorded): Ids =>
  ({ prefix }) =>
    recorded.get(prefix) ?? missingId(prefix)
const missingIds: Ids = ({ prefix }) => missingId(prefix)

/** Whoever is nobody gets 401, whatever they ask for. */
export function sweepNobody(operations: readonly Operation[], nobodies: readonly Actor[], recorded: Recorded) {
  const cases = nobodies.flatMap((actor) => operations.map((operation) => ({ actor, operation })))
  return each(cases, async ({ actor, operation }) => {
    const answer = await send(actor, requestOf(operation, realIds(recorded), operation.positions))
    return answer.status === 401 && codeOf(answer) === 'auth.unauthenticated'
      ? []
      : [`${name(operation, actor)}: ${answer.status} ${answer.body.slice(0, 80)}`]
  })
}

/** For somebody who may not see them, another's ids and ids of nothing are the same in every place an id can stand. */
export function sweepForeign(
  operations: readonly Operation[],
  strangers: readonly Actor[],
  foreign: Recorded,
  options: { readonly own?: Recorded; readonly prefixes?: readonly string[] } = {},
) {
  const cases = strangers.flatMap((actor) =>
    operations.flatMap((operation) =>
      operation.positions
        .filter(({ prefix }) => options.prefixes?.includes(prefix) ?? true)
        .map((position) => ({ actor, operation, position })),
    ),
  )
  return each(cases, async ({ actor, operation, position }) => {
    const where = `${name(operation, actor)}, ${position.where} ${position.name}`
    const theirs = foreign.get(position.prefix)
    if (theirs === undefined) return [`${where}: no ${position.prefix}_ id was recorded, so nothing is proven`]
    const nothing = missingId(position.prefix)
    const ask = (id: string) => {
      const others = realIds(options.own ?? new Map())
      const ids: Ids = (one) => (one === position ? id : others(one))
      return send(actor, requestOf(operation, ids, [position]))
    }
    const [a, b] = [await ask(theirs), await ask(nothing)]
    const differs = difference(comparable(a, theirs), comparable(b, nothing))
    return [
      ...(differs === undefined ? [] : [`${where}: foreign and missing differ: ${differs}`]),
      ...(a.status >= 500 ? [`${where}: ${a.status}`] : []),
      ...(position.where !== 'query' && a.status < 400 ? [`${where}: ${a.status} for another's id`] : []),
      ...namesOf(a, foreign, theirs).map((id) => `${where}: the answer names ${id}`),
    ]
  })
}

/** Recorded ids that an answer holds, but for the one that was asked for. */
export function namesOf(answer: Answer, recorded: Recorded, asked?: string): string[] {
  return [...recorded.values()].filter((id) => id !== asked && answer.body.includes(id))
}

/** Headers and query parameters by which another workspace might be asked for change nothing. */
export function sweepTenantHints(operations: readonly Operation[], strangers: readonly Actor[], foreign: Recorded) {
  const theirs = foreign.get('ten') ?? ''
  const nothing = missingId('ten')
  const cases = strangers.flatMap((actor) =>
    operations
      .filter(({ method, path }) => method === 'GET' && !path.includes('{'))
      .map((operation) => ({ actor, operation })),
  )
  return each(cases, async ({ actor, operation }) => {
    const found: string[] = []
    const ask = async (id: string, by: 'header' | 'query') => {
      const headers = Object.fromEntries(TENANT_HINTS.map((hint) => [`x-${hint}`, id]))
      const query = new URLSearchParams(['tenantId', 'tenant', 'workspaceId', 'tenant_id'].map((one) => [one, id]))
      return by === 'header'
        ? actor.send(operation.path, { headers })
        : actor.send(`${operation.path}?${query.toString()}`)
    }
    for (const by of ['header', 'query'] as const) {
      const [a, b] = [await ask(theirs, by), await ask(nothing, by)]
      // Time goes on between two requests: what changes with it is not what is looked for here.
      if (a.status !== b.status) found.push(`${name(operation, actor)}, ${by}: ${a.status} against ${b.status}`)
      for (const id of namesOf(a, foreign)) found.push(`${name(operation, actor)}, ${by}: the answer names ${id}`)
    }
    return found
  })
}
const TENANT_HINTS = ['tenant-id', 'tenant', 'workspace-id', 'workspace', 'organization-id', 'portcullis-tenant']

/** A cursor of another workspace is no better than one that nobody was given. */
export async function sweepCursors(
  operations: readonly Operation[],
  victim: Actor,
  strangers: readonly Actor[],
  foreign: Recorded,
) {
  const paged = operations.filter(({ queryNames }) => queryNames.includes('cursor'))
  const cases = strangers.flatMap((actor) => paged.map((operation) => ({ actor, operation })))
  if (cases.length === 0) return ['no operation takes a cursor, so nothing is proven']
  return each(cases, async ({ actor, operation }) => {
    const page = (await victim.send(`${operation.path}?limit=1`)).json() as { nextCursor?: string | null } // a list of the API
    const theirs = page.nextCursor
    if (theirs == null) return [`${operation.id}: the owner got no cursor, so nothing is proven`]
    const nothing = Buffer.from(Buffer.from(theirs, 'base64url').map((byte) => byte ^ 1)).toString('base64url')
    const ask = (cursor: string) => actor.send(`${operation.path}?cursor=${encodeURIComponent(cursor)}`)
    const [a, b] = [await ask(theirs), await ask(nothing)]
    const differs = difference(comparable(a, theirs), comparable(b, nothing))
    return [
      ...(differs === undefined ? [] : [`${name(operation, actor)}: foreign and made-up cursor differ: ${differs}`]),
      ...namesOf(a, foreign).map((id) => `${name(operation, actor)}: the answer names ${id}`),
    ]
  })
}

/** Ids that are no ids: never a fault of ours, and in a path the same as a missing one. */
export function sweepHostile(operations: readonly Operation[], actor: Actor, foreign: Recorded) {
  return each(operations, async (operation) => {
    const found: string[] = []
    const note = (what: string, { status, body }: Answer) => {
      if (status >= 500) found.push(`${name(operation, actor)}, ${what}: ${status}`)
      for (const id of foreign.values())
        if (body.includes(id)) found.push(`${name(operation, actor)}, ${what}: names ${id}`)
    }
    for (const position of operation.positions) {
      const id = missingId(position.prefix)
      if (position.where === 'path') {
        const asked = (value: string) => {
          const { path, options } = requestOf(operation, (one) => (one === position ? id : missingIds(one)))
          return actor.send(path.replace(id, value), options)
        }
        const missing = comparable(await asked(id), id)
        for (const value of HOSTILE_SEGMENTS) {
          const answer = await asked(value)
          note(`path ${value.slice(0, 20)}`, answer)
          const differs = difference(comparable(answer, id), missing)
          if (differs !== undefined) found.push(`${name(operation, actor)}, path ${value.slice(0, 20)}: ${differs}`)
        }
      } else if (position.where === 'query') {
        const { path } = requestOf(operation, missingIds)
        const theirs = foreign.get(position.prefix) ?? id
        for (const query of hostileQueries(position.name, id, theirs))
          note(`query ${query.slice(0, 40)}`, await actor.send(`${path}?${query}`, { method: operation.method }))
      } else {
        for (const value of hostileValues(id)) {
          const { path, options } = requestOf(operation, missingIds, [position])
          const body = { ...(bodyOf(operation, missingIds, [position]) as object), [position.name]: value } // an id stands in an object
          const answer = await actor.send(path, { ...options, json: body })
          note(`body ${JSON.stringify(value).slice(0, 40)}`, answer)
          if (answer.status < 400)
            found.push(`${name(operation, actor)}, body ${JSON.stringify(value)}: ${answer.status}`)
        }
      }
    }
    if (operation.body !== undefined)
      for (const json of HOSTILE_BODIES) {
        const { path, options } = requestOf(operation, missingIds)
        note(`whole body ${JSON.stringify(json).slice(0, 40)}`, await actor.send(path, { ...options, json }))
      }
    return found
  })
}

const HOSTILE_SEGMENTS = [
  'null', 'undefined', '0', '-1', '[]', '__proto__', 'constructor', 'hasOwnProperty', '%5B%22a%22%5D', '%7B%7D', '%00', '%27%20OR%201%3D1--',
  '%2e%2e%2f%2e%2e%2fhealthz', '%ff', '%E0%A4%A', '*', 'a'.repeat(3_000), '%F0%9F%97%9D',
] // prettier-ignore

const hostileQueries = (parameter: string, id: string, theirs: string): string[] => [
  `${parameter}=${id}&${parameter}=${theirs}`,
  `${parameter}[]=${theirs}`,
  `${parameter}[0]=${theirs}`,
  `${parameter}[$ne]=1`,
  `${parameter}=`,
  `${parameter}=null`,
  `${parameter}=%00`,
  `${parameter}[__proto__]=1`,
  '__proto__=1',
  '__proto__[role]=owner',
  'constructor=1',
  `${parameter}=${encodeURIComponent(JSON.stringify([theirs]))}`,
  `${parameter}=${'a'.repeat(3_000)}`,
]
const hostileValues = (id: string): unknown[] => [
  null, [], [id], {}, { $ne: null }, { id }, true, 0, -1, 1e308, '', ' ', '\u0000', '__proto__', `${id}\n`, ` ${id}`, id.toUpperCase(), 'a'.repeat(9_000),
] // prettier-ignore
const HOSTILE_BODIES: readonly unknown[] = [
  null, [], 1, 'text', true, [{}], JSON.parse('{"__proto__":{"role":"owner"}}'), { constructor: { prototype: {} } }, { tenantId: 'ten_x' },
] // prettier-ignore

export interface RoleActor extends Actor {
  readonly role: Role
  readonly kind: 'person' | 'api_key'
}

/** What a definition cannot say: stricter than its permission. The reason stands beside each. */
export type Stricter = Readonly<Record<string, { readonly permission: Permission; readonly because: string }>>

/** Each role may do what the table says, and gets 403 for everything else, before anything happens. */
export function sweepRoles(
  operations: readonly Operation[],
  actors: readonly RoleActor[],
  recorded: Recorded,
  options: { readonly stricter?: Stricter; readonly refuses?: Readonly<Record<string, string>> } = {},
) {
  const cases = actors.flatMap((actor) => operations.map((operation) => ({ actor, operation })))
  return each(cases, async ({ actor, operation }) => {
    const permission = options.stricter?.[operation.id]?.permission ?? operation.permission
    if (!isPermission(permission)) return [`${operation.id}: ${permission} is no permission`]
    const isAllowed = isPermitted(actor.role, permission) && !(operation.isPersonOnly && actor.kind === 'api_key')
    // What is allowed is asked about nothing, so that it changes nothing; what is not, about what is really there.
    const answer = await send(actor, requestOf(operation, isAllowed ? missingIds : realIds(recorded)))
    const isRefused = answer.status === 403 && codeOf(answer) === 'auth.forbidden'
    if (
      isAllowed
        ? (isRefused && options.refuses?.[operation.id] === undefined) || answer.status === 401 || answer.status >= 500
        : !isRefused
    )
      return [
        `${name(operation, actor)}: ${isAllowed ? 'allowed' : 'not allowed'}, yet ${answer.status} ${answer.body.slice(0, 80)}`,
      ]
    return []
  })
}

function isPermission(value: string): value is Permission {
  return Object.hasOwn(PERMISSIONS, value)
}

/** Another site's page cannot make a browser change anything. */
export function sweepOrigins(operations: readonly Operation[], person: Actor, recorded: Recorded) {
  return each(
    operations.filter(({ method }) => method !== 'GET'),
    async (operation) => {
      const { path, options } = requestOf(operation, realIds(recorded))
      const answer = await person.send(path, { ...options, sameOrigin: false })
      return answer.status === 403 && codeOf(answer) === 'request.origin_refused'
        ? []
        : [`${name(operation, person)} from another site: ${answer.status} ${answer.body.slice(0, 80)}`]
    },
  )
}

const depth = ({ path }: Operation) => path.split('/').length

/** The other half of the proof: for whom they belong to, the same ids work. Reading first, ending last. */
export async function sweepOwn(
  operations: readonly Operation[],
  owner: Actor,
  recorded: Recorded,
  /** Operations that find theirs in a state in which there is nothing to do, and why: a conflict, which is not a 404. */
  conflicts: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const order = ['GET', 'PUT', 'PATCH', 'POST', 'DELETE']
  const found: string[] = []
  const cases = operations
    .flatMap((operation) =>
      operation.positions.map((position): readonly [Operation, Position] => [operation, position]),
    )
    // A part before the whole that it goes with.
    .sort(([a], [b]) => order.indexOf(a.method) - order.indexOf(b.method) || depth(b) - depth(a))
  const done = new Set<string>()
  for (const [operation, position] of cases) {
    if (position.where !== 'query' && done.has(operation.id)) continue
    done.add(operation.id)
    const answer = await send(owner, requestOf(operation, realIds(recorded), [position]))
    if (conflicts[operation.id] === undefined ? answer.status >= 400 : answer.status !== 409)
      found.push(
        `${name(operation, owner)}, ${position.where} ${position.name}: ${answer.status} ${answer.body.slice(0, 120)}`,
      )
  }
  return found
}
