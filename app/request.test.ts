import { createServer } from 'node:http'
import type { Server } from 'node:http'

import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { onStepUpRequired, send, text } from '@/app/_client/request'

/** A real server; only the browser's notion of "this origin" is supplied. */
let server: Server
let reply: { status: number; body: string; headers?: Record<string, string> }
const realFetch = globalThis.fetch

beforeEach(async () => {
  server = createServer((request, response) => {
    if (request.url === '/elsewhere') {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"next":"/login"}')
      return
    }
    response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers }).end(reply.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  vi.stubGlobal('fetch', (path: string, init: RequestInit) =>
    realFetch(new URL(path, `http://127.0.0.1:${port}`), init),
  )
})

afterEach(async () => {
  vi.unstubAllGlobals()
  await new Promise((resolve) => server.close(resolve))
})

const next = (body: unknown) => text(body, 'next')

test('a refusal comes back as a value with the server’s own words and field', async () => {
  reply = {
    status: 422,
    body: JSON.stringify({ error: { code: 'request.invalid', message: 'Too short.', field: 'name' } }),
  }
  expect(await send('POST', '/x', {}, next)).toEqual({
    ok: false,
    error: { code: 'request.invalid', message: 'Too short.', field: 'name' },
  })
})

test.each([
  [502, '<html>bad gateway</html>'],
  [500, '{"error":{"message":7}}'],
  [403, ''],
])('an error body that is not ours (%d) shows none of its content', async (status, body) => {
  reply = { status, body }
  const result = await send('POST', '/x', {}, next)
  expect(result).toMatchObject({ ok: false, error: { code: 'response.status' } })
  expect(JSON.stringify(result)).not.toMatch(/bad gateway|7/)
})

test.each(['{}', '[]', 'null', '{"next":7}', 'not json'])(
  'an answer of the wrong shape (%s) is no success',
  async (body) => {
    reply = { status: 200, body }
    expect(await send('POST', '/x', {}, next)).toMatchObject({ ok: false, error: { code: 'response.unreadable' } })
  },
)

test('a redirect is refused instead of carrying the request elsewhere', async () => {
  reply = { status: 307, body: '', headers: { location: '/elsewhere' } }
  await expect(send('POST', '/x', { secret: 's' }, next)).rejects.toThrow()
})

test('a good answer is parsed', async () => {
  reply = { status: 200, body: '{"next":"/login"}' }
  expect(await send('POST', '/x', {}, next)).toEqual({ ok: true, value: '/login' })
})

const stepUp = { status: 403, body: JSON.stringify({ error: { code: 'auth.step_up_required', message: 'Confirm.' } }) }

test('a write that needs a fresh proof asks for one, once for all that wait, and is then sent again', async () => {
  reply = stepUp
  let asked = 0
  const forget = onStepUpRequired(() => {
    asked += 1
    reply = { status: 200, body: '{"next":"/done"}' }
    return Promise.resolve(true)
  })
  const results = await Promise.all([send('POST', '/x', {}, next), send('DELETE', '/y', {}, next)])
  expect(results).toEqual([
    { ok: true, value: '/done' },
    { ok: true, value: '/done' },
  ])
  expect(asked).toBe(1)
  forget()
})

test('whoever does not prove it, or cannot be asked, gets the refusal and nothing is sent twice', async () => {
  reply = stepUp
  const refusal = { ok: false, error: { code: 'auth.step_up_required', message: 'Confirm.' } }
  expect(await send('POST', '/x', {}, next)).toMatchObject(refusal)
  let asked = 0
  const forget = onStepUpRequired(() => {
    asked += 1
    return Promise.resolve(false)
  })
  expect(await send('POST', '/x', {}, next)).toMatchObject(refusal)
  expect(asked).toBe(1)
  forget()
  expect(await send('POST', '/x', {}, next)).toMatchObject(refusal)
  expect(asked).toBe(1)
})
