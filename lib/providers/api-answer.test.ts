import { describe, expect, it } from 'vitest'

import type { ProviderName } from '@/lib/config'

import { CATALOG } from './catalog/index'

const NOW = new Date('2026-05-04T12:00:00Z')
function judge(provider: ProviderName, status: number, json: unknown, headers: Record<string, string> = {}) {
  const definition = CATALOG.find(({ name }) => name === provider)
  return definition?.judgeApi({ status, json, headers: { get: (name) => headers[name] ?? null } }, NOW)
}
const googleError = (reason: string) => ({ error: { errors: [{ reason }], details: [{ '@type': 'x', reason }] } })
const reset = String(NOW.getTime() / 1_000 + 90)

describe('what a provider’s answer means', () => {
  const rows: [string, ProviderName, number, unknown, Record<string, string>, object][] = [
    ['an answer', 'github', 200, [], {}, { kind: 'ok' }],
    ['no JSON', 'github', 200, undefined, {}, { kind: 'unavailable' }],
    ['bad credentials', 'github', 401, {}, {}, { kind: 'unauthorized' }],
    [
      'a spent limit',
      'github',
      403,
      {},
      { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset },
      { kind: 'rate_limited', retryAfterSeconds: 90 },
    ],
    [
      'a secondary limit',
      'github',
      403,
      { message: 'You have exceeded a secondary rate limit.' },
      {},
      { kind: 'rate_limited', retryAfterSeconds: 60 },
    ],
    ['a limit with a wait', 'github', 429, {}, { 'retry-after': '7' }, { kind: 'rate_limited', retryAfterSeconds: 7 }],
    [
      'a limit with a date',
      'github',
      429,
      {},
      { 'retry-after': 'Mon, 04 May 2026 12:01:00 GMT' },
      { kind: 'rate_limited', retryAfterSeconds: 60 },
    ],
    [
      'a limit of a year',
      'github',
      429,
      {},
      { 'retry-after': '9999999' },
      { kind: 'rate_limited', retryAfterSeconds: 3600 },
    ],
    [
      'a missing scope',
      'github',
      403,
      {},
      { 'x-accepted-oauth-scopes': 'repo', 'x-oauth-scopes': 'read:user' },
      { kind: 'scope', needed: ['repo'] },
    ],
    [
      'a missing App permission',
      'github',
      403,
      {},
      { 'x-accepted-github-permissions': 'issues=write' },
      { kind: 'scope' },
    ],
    [
      'single sign-on',
      'github',
      403,
      {},
      { 'x-github-sso': 'required; url=https://x' },
      { kind: 'refused', code: 'sso_required' },
    ],
    ['a private repository', 'github', 404, {}, {}, { kind: 'refused', code: 'not_found' }],
    ['a renamed repository', 'github', 301, {}, {}, { kind: 'refused', code: 'moved' }],
    [
      'a validation error',
      'github',
      422,
      { errors: [{ field: 'assignees', code: 'invalid' }] },
      {},
      { kind: 'refused', text: expect.stringContaining('assignees invalid') as string },
    ],
    ['an outage', 'github', 503, undefined, {}, { kind: 'unavailable', code: 'http_503' }],
    ['an expired token', 'google', 401, googleError('authError'), {}, { kind: 'unauthorized' }],
    ['a missing scope', 'google', 403, googleError('insufficientPermissions'), {}, { kind: 'scope' }],
    [
      'a missing scope, newly said',
      'google',
      403,
      googleError('ACCESS_TOKEN_SCOPE_INSUFFICIENT'),
      {},
      { kind: 'scope' },
    ],
    [
      'a quota',
      'google',
      403,
      googleError('userRateLimitExceeded'),
      {},
      { kind: 'rate_limited', retryAfterSeconds: 30 },
    ],
    [
      'an API that is off',
      'google',
      403,
      googleError('SERVICE_DISABLED'),
      {},
      { kind: 'refused', code: 'api_disabled' },
    ],
    ['an id that exists', 'google', 409, googleError('duplicate'), {}, { kind: 'refused', status: 409 }],
    ['an answer', 'slack', 200, { ok: true }, {}, { kind: 'ok' }],
    [
      'an expired token',
      'slack',
      200,
      { ok: false, error: 'token_expired' },
      {},
      { kind: 'unauthorized', documented: 'expired' },
    ],
    [
      'a revoked token',
      'slack',
      200,
      { ok: false, error: 'token_revoked' },
      {},
      { kind: 'unauthorized', documented: 'revoked' },
    ],
    [
      'a missing scope',
      'slack',
      200,
      { ok: false, error: 'missing_scope', needed: 'groups:read' },
      {},
      { kind: 'scope', needed: ['groups:read'] },
    ],
    ['a limit', 'slack', 429, undefined, { 'retry-after': '30' }, { kind: 'rate_limited', retryAfterSeconds: 30 }],
    [
      'a limit in the body',
      'slack',
      200,
      { ok: false, error: 'ratelimited' },
      { 'retry-after': '5' },
      { kind: 'rate_limited', retryAfterSeconds: 5 },
    ],
    ['an unknown person', 'slack', 200, { ok: false, error: 'users_not_found' }, {}, { kind: 'refused', status: 404 }],
    [
      'a channel one is not in',
      'slack',
      200,
      { ok: false, error: 'not_in_channel' },
      {},
      { kind: 'refused', code: 'not_in_channel' },
    ],
    ['half a success', 'slack', 200, { ok: false, error: 'fatal_error' }, {}, { kind: 'unavailable' }],
    ['no JSON', 'slack', 200, undefined, {}, { kind: 'unavailable' }],
    ['an outage', 'slack', 502, undefined, {}, { kind: 'unavailable' }],
  ]
  it.each(rows)('%s of %s (%i)', (_name, provider, status, json, headers, verdict) => {
    expect(judge(provider, status, json, headers)).toMatchObject(verdict)
  })

  it('repeats no text that a provider wrote freely', () => {
    const text = 'ghp_token1234 <b>do as I say</b>'
    for (const verdict of [
      judge('github', 422, { message: text, errors: [{ field: text, code: text, message: text }] }),
      judge('github', 403, { message: text }, { 'x-github-sso': text, 'x-accepted-oauth-scopes': text }),
      judge('google', 400, { error: { message: text, status: text, errors: [{ reason: text, message: text }] } }),
      judge('slack', 200, { ok: false, error: text, needed: text, response_metadata: { messages: [text] } }),
    ])
      expect(JSON.stringify(verdict)).not.toMatch(/token1234|do as I say/)
  })
})
