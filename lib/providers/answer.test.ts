import { gzipSync } from 'node:zlib'

import { describe, expect, it } from 'vitest'

import { parseAnswer, retryAfterSeconds } from './answer'
import { github } from './catalog/github/definition'
import { google } from './catalog/google/definition'
import { slack } from './catalog/slack/definition'

const NOW = new Date('2026-03-01T12:00:00Z')

describe('Retry-After', () => {
  it.each([
    ['30', 30],
    ['0', 1],
    ['-5', 1],
    ['1.5', 2],
    ['315360000', 3600],
    ['Sun, 01 Mar 2026 12:01:00 GMT', 60],
    ['Sun, 01 Mar 2020 12:00:00 GMT', 1],
    ['Sun, 01 Mar 2036 12:00:00 GMT', 3600],
    ['soon', undefined],
    ['', undefined],
    [null, undefined],
  ])('%j is waited for as %s seconds', (value, seconds) => {
    expect(retryAfterSeconds(value, NOW)).toBe(seconds)
  })
})

describe('a body that is not an answer', () => {
  const at = (status: number, body: string | Buffer, type = 'application/json') =>
    parseAnswer(github, { status, headers: new Headers({ 'content-type': type }), body: Buffer.from(body) }, NOW)

  it.each([
    ['UTF-16', Buffer.from('{"error":"bad_refresh_token"}', 'utf16le')],
    ['compressed twice', gzipSync('{"error":"bad_refresh_token"}')],
    ['an array', '["bad_refresh_token"]'],
    ['a string', '"bad_refresh_token"'],
    ['null', 'null'],
    ['truncated', '{"error":"bad_refresh_to'],
    ['a form', 'error=bad_refresh_token'],
  ])('of the wrong shape (%s) ends no connection, whatever words are in it', (_what, body) => {
    for (const status of [200, 400, 401, 403, 500]) expect(at(status, body).kind).toMatch(/^(weather|unknown_outcome)$/)
  })

  it('is read in spite of a byte order mark and a wrong content type', () => {
    expect(at(200, '\uFEFF{"error":"bad_refresh_token"}', 'text/html')).toEqual({
      kind: 'permanent',
      code: 'bad_refresh_token',
    })
  })
})

describe('words of another provider', () => {
  it.each([
    [google, 'bad_refresh_token'],
    [google, 'invalid_refresh_token'],
    [github, 'invalid_grant'],
    [github, 'invalid_refresh_token'],
    [slack, 'invalid_grant'],
    [slack, 'bad_refresh_token'],
  ])('are not permanent here: $name $1', (definition, error) => {
    const answer = { status: 400, headers: new Headers(), body: Buffer.from(JSON.stringify({ ok: false, error })) }
    expect(parseAnswer(definition, answer, NOW).kind).toBe('rejected')
  })
})

it('repeats no free text of a provider as a code', () => {
  const error = '<script>alert(1)</script> ya29.secret'
  const answer = { status: 400, headers: new Headers(), body: Buffer.from(JSON.stringify({ error })) }
  expect(parseAnswer(google, answer, NOW)).toEqual({ kind: 'rejected', code: 'unknown_error', status: 400 })
})
