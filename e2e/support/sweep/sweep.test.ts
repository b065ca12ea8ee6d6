import { describe, expect, it } from 'vitest'

import { isPermitted, type Permission } from '../../../lib/tenancy/permission'
import type { Role } from '../../../lib/tenancy/principal'
import type { Answer } from '../visitor'
import { sweepForeign, sweepHostile, sweepNobody, sweepOrigins, sweepOwn, sweepRoles, type Actor } from './checks'
import { missingId, operationsOf } from './operations'

/** The sweep proves something only if it finds what is wrong: here it is let loose on handlers that are wrong on purpose. */
const PATTERN = '^agt_[0-9a-hjkmnp-tv-z]{26}$'
const { operations } = operationsOf({
  paths: {
    '/api/v1/agents/{agentId}': {
      get: {
        operationId: 'agent.show',
        'x-permission': 'agent.read',
        parameters: [{ name: 'agentId', in: 'path', schema: { type: 'string', pattern: PATTERN } }],
      },
      patch: {
        operationId: 'agent.update',
        'x-permission': 'agent.update',
        parameters: [{ name: 'agentId', in: 'path', schema: { type: 'string', pattern: PATTERN } }],
        requestBody: { content: { 'application/json': { schema: { properties: { name: { type: 'string' } } } } } },
      },
    },
    '/api/v1/sessions': {
      get: {
        operationId: 'session.list',
        'x-permission': 'session.read',
        parameters: [{ name: 'agentId', in: 'query', schema: { type: 'string', pattern: PATTERN } }],
      },
    },
  },
})

const theirs = missingId('agt')
const foreign = new Map([['agt', theirs]])
const answer = (status: number, body: string, headers: Answer['headers'] = {}): Answer => ({
  status,
  headers,
  body,
  json: () => JSON.parse(body) as unknown,
})
const error = (status: number, code: string, headers?: Answer['headers']) =>
  answer(status, `{"error":{"code":"${code}","message":"No."}}`, headers)
const notFound = (headers?: Answer['headers']) => error(404, 'resource.not_found', headers)
const asked = (path: string) =>
  path.includes('?') ? new URL(path, 'http://x').searchParams.get('agentId') : path.split('/').at(-1)

/** Right in everything but what `leak` does for an id that exists elsewhere. */
const stranger = (leak: (path: string) => Answer | undefined): Actor => ({
  name: 'a stranger',
  send: (path) =>
    Promise.resolve(
      (asked(path) === theirs ? leak(path) : undefined) ??
        (path.includes('?') ? answer(200, '{"items":[]}') : notFound()),
    ),
})

describe('the sweep of foreign ids', () => {
  it('finds nothing where foreign and missing are one', async () => {
    expect(await sweepForeign(operations, [stranger(() => undefined)], foreign)).toEqual([])
  })

  it.each([
    ['another status', () => error(403, 'auth.forbidden')],
    ['another code', () => error(404, 'agent.gone')],
    ['one more header', () => notFound({ 'x-cache': 'hit' })],
    ['the thing itself', () => answer(200, `{"id":"${theirs}"}`)],
    ['a fault', () => error(500, 'internal')],
  ])('finds a leak by %s, in path and in query', async (_, leak) => {
    const findings = await sweepForeign(operations, [stranger(leak)], foreign)
    expect(findings.some((one) => one.startsWith('agent.show'))).toBe(true)
    expect(findings.some((one) => one.startsWith('session.list'))).toBe(true)
  })

  it('finds an answer that names another recorded id', async () => {
    const person = missingId('per')
    const leaky = { name: 'a stranger', send: () => Promise.resolve(answer(404, `{"owner":"${person}"}`)) }
    const findings = await sweepForeign(operations, [leaky], new Map([...foreign, ['per', person]]))
    expect(findings).toContain(`agent.show by a stranger, path agentId: the answer names ${person}`)
  })

  it('is not satisfied when there was no id to try', async () => {
    expect(await sweepForeign(operations, [stranger(() => undefined)], new Map())).toHaveLength(3)
  })
})

describe('the sweeps of callers', () => {
  const everything: Actor = { name: 'anybody', send: () => Promise.resolve(answer(200, '{}')) }

  it('finds an endpoint that answers nobody', async () => {
    expect(await sweepNobody(operations, [everything], foreign)).toHaveLength(operations.length)
    const closed: Actor = { name: 'nobody', send: () => Promise.resolve(error(401, 'auth.unauthenticated')) }
    expect(await sweepNobody(operations, [closed], foreign)).toEqual([])
  })

  it('finds a role that may do too much, and one that may do too little', async () => {
    const as = (role: Role, mayDo: (permission: Permission) => boolean) => ({
      name: role,
      role,
      kind: 'person' as const,
      send: (_: string, options: { method?: string } = {}) =>
        Promise.resolve(
          mayDo(options.method === 'PATCH' ? 'agent.update' : 'agent.read') ? notFound() : error(403, 'auth.forbidden'),
        ),
    })
    expect(
      await sweepRoles(operations, [as('auditor', (permission) => isPermitted('auditor', permission))], foreign),
    ).toEqual([])
    expect(await sweepRoles(operations, [as('auditor', () => true)], foreign)).toHaveLength(1)
    expect(await sweepRoles(operations, [as('owner', () => false)], foreign)).toHaveLength(3)
  })

  it('finds a write that another site can cause, and one that its owner cannot make', async () => {
    expect(await sweepOrigins(operations, everything, foreign)).toHaveLength(1)
    expect(
      await sweepOwn(operations, { name: 'owner', send: () => Promise.resolve(notFound()) }, foreign),
    ).toHaveLength(3)
  })

  it('finds a fault on a hostile id, and a path that tells malformed from missing', async () => {
    const naive: Actor = {
      name: 'a stranger',
      send: (path) => {
        const id = asked(path) ?? ''
        if (id === '__proto__') return Promise.resolve(error(500, 'internal'))
        return Promise.resolve(id.startsWith('agt_') ? notFound() : error(400, 'request.invalid'))
      },
    }
    const findings = await sweepHostile(operations, naive, foreign)
    expect(findings).toContain('agent.show by a stranger, path __proto__: 500')
    expect(findings.some((one) => one.startsWith('agent.show by a stranger, path null: '))).toBe(true)
  })
})

it('a parameter that does not say which id it holds is named', () => {
  const { findings } = operationsOf({
    paths: {
      '/x/{thing}': { get: { operationId: 'x.show', parameters: [{ name: 'thing', in: 'path', schema: {} }] } },
    },
  })
  expect(findings).toEqual(['x.show: path parameter thing does not say which id it holds'])
})
