/**
 * What a provider's answer means, per provider, and what to tell the agent. The body itself is never passed on: it may
 * quote the request, and it was not written for whoever reads it here. Codes that providers document are.
 *
 * @module
 */
import { z } from 'zod'

import type { ProviderName } from '../config'

export interface RawAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  /** Undefined when the body is not JSON. */
  readonly json: unknown
}

export type AnswerVerdict =
  /** `status` is the provider's own, or the one its body amounts to. */
  | { readonly kind: 'ok' }
  /** The access token was not accepted; nothing was done. */
  | { readonly kind: 'unauthorized'; readonly code: string; readonly documented?: 'expired' | 'revoked' }
  /** The grant does not cover this. `needed` when the provider says what would. */
  | { readonly kind: 'scope'; readonly code: string; readonly needed: readonly string[] }
  | { readonly kind: 'rate_limited'; readonly code: string; readonly retryAfterSeconds: number }
  | { readonly kind: 'refused'; readonly code: string; readonly status: number; readonly text: string }
  /** The provider is unwell. Whether a write was carried out is unknown. */
  | { readonly kind: 'unavailable'; readonly code: string }

export function judgeAnswer(provider: ProviderName, answer: RawAnswer, now: Date): AnswerVerdict {
  switch (provider) {
    case 'github':
      return judgeGithub(answer, now)
    case 'google':
      return judgeGoogle(answer, now)
    case 'slack':
      return judgeSlack(answer, now)
  }
}

const OK: AnswerVerdict = { kind: 'ok' }
const isSuccess = (status: number) => status >= 200 && status < 300

// -------------------------------------------------------------------------------------------------------------- GitHub

const githubError = z.object({
  message: z.string().catch(''),
  errors: z.array(z.object({ field: z.string().optional(), code: z.string().optional() }).catch({})).catch([]),
})

function judgeGithub(answer: RawAnswer, now: Date): AnswerVerdict {
  const { status, headers } = answer
  if (isSuccess(status)) return answer.json === undefined ? unexpected() : OK
  const body = githubError.safeParse(answer.json)
  const error = body.success ? body.data : { message: '', errors: [] }
  if (status === 401) return { kind: 'unauthorized', code: 'bad_credentials' }
  if (status === 403 || status === 429) {
    const isSecondary = /secondary rate limit|abuse detection/i.test(error.message) // GitHub documents the words as the sign
    const isSpent = headers.get('x-ratelimit-remaining') === '0'
    if (status === 429 || isSpent || isSecondary || headers.get('retry-after') !== null)
      return {
        kind: 'rate_limited',
        code: isSecondary ? 'secondary_rate_limit' : 'rate_limit',
        retryAfterSeconds: retryAfter(headers.get('retry-after'), now) ?? untilReset(headers, now) ?? 60,
      }
    if (headers.get('x-github-sso') !== null)
      return refused(
        'sso_required',
        status,
        'The organisation wants this account to be authorised for its single sign-on first. Ask the user to do that in their GitHub settings.',
      )
    const accepted = scopeList(headers.get('x-accepted-oauth-scopes'))
    const held = scopeList(headers.get('x-oauth-scopes'))
    if (accepted.length > 0 && !accepted.some((name) => held.includes(name)))
      return { kind: 'scope', code: 'missing_scope', needed: accepted.slice(0, 1) }
    if (headers.get('x-accepted-github-permissions') !== null)
      return { kind: 'scope', code: 'missing_permission', needed: [] }
    return refused('forbidden', status, 'GitHub does not allow the connected account to do this.')
  }
  if (status === 404)
    return refused(
      'not_found',
      status,
      'GitHub has nothing there, or the connected account cannot see it. Check owner, repository, path and number.',
    )
  if (status === 410)
    return refused(
      'gone',
      status,
      'This is switched off or gone, for example issues of a repository without an issue tracker.',
    )
  if (status === 409) return refused('conflict', status, 'GitHub reports a conflict, for example an empty repository.')
  if (status === 422 || status === 400) {
    const fields = error.errors
      .map(({ field, code }) => [word(field), word(code)].filter((part) => part !== '').join(' '))
      .filter((text) => text !== '')
    return refused(
      'validation_failed',
      status,
      `GitHub does not accept these arguments${fields.length === 0 ? '' : `: ${[...new Set(fields)].slice(0, 5).join(', ')}`}.`,
    )
  }
  if (status >= 300 && status < 400)
    return refused('moved', status, 'The repository was renamed or moved. Search for its new name.')
  return fallback('GitHub', status)
}

// -------------------------------------------------------------------------------------------------------------- Google

const googleError = z.object({
  error: z.object({
    status: z.string().catch(''),
    errors: z.array(z.object({ reason: z.string().catch('') }).catch({ reason: '' })).catch([]),
    details: z.array(z.object({ reason: z.string().catch('') }).catch({ reason: '' })).catch([]),
  }),
})
const GOOGLE_SCOPE = ['insufficientPermissions', 'ACCESS_TOKEN_SCOPE_INSUFFICIENT']
const GOOGLE_RATE = [
  'rateLimitExceeded',
  'userRateLimitExceeded',
  'quotaExceeded',
  'dailyLimitExceeded',
  'RATE_LIMIT_EXCEEDED',
]
const GOOGLE_APP = ['accessNotConfigured', 'SERVICE_DISABLED']

function judgeGoogle(answer: RawAnswer, now: Date): AnswerVerdict {
  const { status, headers } = answer
  if (isSuccess(status)) return answer.json === undefined ? unexpected() : OK
  const body = googleError.safeParse(answer.json)
  const reasons = body.success
    ? [...body.data.error.errors, ...body.data.error.details].map(({ reason }) => reason)
    : []
  const has = (list: readonly string[]) => reasons.some((reason) => list.includes(reason))
  if (status === 401) return { kind: 'unauthorized', code: 'unauthenticated' }
  if (status === 429 || (status === 403 && has(GOOGLE_RATE)))
    return {
      kind: 'rate_limited',
      code: 'rate_limit',
      retryAfterSeconds: retryAfter(headers.get('retry-after'), now) ?? 30,
    }
  if (status === 403) {
    if (has(GOOGLE_SCOPE)) return { kind: 'scope', code: 'missing_scope', needed: [] }
    if (has(GOOGLE_APP))
      return refused(
        'api_disabled',
        status,
        'This Google API is not enabled for the gateway. Its operator has to do that; trying again does not help.',
      )
    if (has(['domainPolicy']))
      return refused('domain_policy', status, 'The policy of the Google Workspace does not allow this.')
    return refused('forbidden', status, 'Google does not allow the connected account to do this.')
  }
  if (status === 404)
    return refused('not_found', status, 'Google has nothing with this id, or the connected account cannot see it.')
  if (status === 409) return refused('conflict', status, 'Something with this id exists already.')
  if (status === 410) return refused('gone', status, 'This was deleted.')
  if (status === 400 || status === 412)
    return refused('invalid_request', status, `Google does not accept these arguments${reasonWords(reasons)}.`)
  return fallback('Google', status)
}

const reasonWords = (reasons: readonly string[]) => {
  const known = [...new Set(reasons.map(word))].filter((reason) => reason !== '')
  return known.length === 0 ? '' : ` (${known.slice(0, 3).join(', ')})`
}

// --------------------------------------------------------------------------------------------------------------- Slack

const slackAnswer = z.object({ ok: z.boolean(), error: z.string().optional(), needed: z.string().optional() })
const SLACK_UNAUTHORIZED = ['invalid_auth', 'not_authed', 'account_inactive', 'app_uninstalled']
const SLACK_SCOPE = ['missing_scope', 'not_allowed_token_type', 'no_permission', 'team_access_not_granted']
const SLACK_ADMIN = [
  'org_login_required',
  'two_factor_setup_required',
  'ekm_access_denied',
  'accesslimited',
  'enterprise_is_restricted',
]
const SLACK_WEATHER = ['internal_error', 'fatal_error', 'service_unavailable', 'request_timeout', 'team_added_to_org']
const SLACK_MISSING: Readonly<Record<string, string>> = {
  channel_not_found: 'There is no such channel, or the connected account cannot see it.',
  user_not_found: 'There is no such person.',
  users_not_found: 'Nobody has this e-mail address.',
  thread_not_found: 'There is no such thread.',
  message_not_found: 'There is no such message.',
}
const SLACK_REFUSED: Readonly<Record<string, string>> = {
  not_in_channel: 'The connected account is not in this channel. Ask the user to join it.',
  is_archived: 'The channel is archived.',
  msg_too_long: 'The message is too long.',
  no_text: 'The message has no text that may be sent.',
  restricted_action: 'The workspace does not let this account post there.',
  restricted_action_read_only_channel: 'Only some people may post in this channel.',
  invalid_cursor: 'The cursor is no longer valid. Leave it out to start again.',
}

function judgeSlack(answer: RawAnswer, now: Date): AnswerVerdict {
  const { status, headers } = answer
  const body = slackAnswer.safeParse(answer.json)
  const code = body.success ? word(body.data.error) : ''
  if (status === 429 || code === 'ratelimited' || code === 'rate_limited')
    return {
      kind: 'rate_limited',
      code: 'rate_limit',
      retryAfterSeconds: retryAfter(headers.get('retry-after'), now) ?? 30,
    }
  if (!body.success) return isSuccess(status) ? unexpected() : fallback('Slack', status)
  if (body.data.ok) return isSuccess(status) ? OK : fallback('Slack', status)
  if (code === 'token_expired') return { kind: 'unauthorized', code, documented: 'expired' }
  if (code === 'token_revoked') return { kind: 'unauthorized', code, documented: 'revoked' }
  if (SLACK_UNAUTHORIZED.includes(code)) return { kind: 'unauthorized', code }
  if (SLACK_SCOPE.includes(code))
    return { kind: 'scope', code, needed: scopeList(body.data.needed ?? null).slice(0, 3) }
  if (SLACK_WEATHER.includes(code)) return { kind: 'unavailable', code }
  if (SLACK_ADMIN.includes(code))
    return refused(
      code,
      403,
      'The Slack workspace asks its people for something first (sign-in, two-factor or an administrator). Ask the user to open Slack.',
    )
  const missing = SLACK_MISSING[code]
  if (missing !== undefined) return refused(code, 404, missing)
  return refused(
    code === '' ? 'refused' : code,
    400,
    SLACK_REFUSED[code] ?? `Slack refused this${code === '' ? '' : ` (${code})`}.`,
  )
}

// -------------------------------------------------------------------------------------------------------------- shared

const unexpected = (): AnswerVerdict => ({ kind: 'unavailable', code: 'unexpected_answer' })

function refused(code: string, status: number, text: string): AnswerVerdict {
  return { kind: 'refused', code, status, text }
}

function fallback(name: string, status: number): AnswerVerdict {
  if (status >= 500 || status === 408) return { kind: 'unavailable', code: `http_${status}` }
  return refused(`http_${status}`, status, `${name} refused this (HTTP ${status}).`)
}

/** A documented code is one short word; anything else is not repeated. */
function word(value: string | undefined): string {
  return value !== undefined && /^[A-Za-z][A-Za-z_]{1,39}$/.test(value) ? value : ''
}

function scopeList(value: string | null): string[] {
  return (value ?? '').split(/[\s,]+/).filter((name) => /^[a-z][a-z0-9_:.-]{0,63}$/.test(name))
}

const MAX_WAIT_SECONDS = 3_600

/** Seconds or an HTTP date (RFC 9110 §10.2.3). */
function retryAfter(value: string | null, now: Date): number | undefined {
  if (value === null) return undefined
  const seconds = /^\d{1,7}$/.test(value) ? Number(value) : (Date.parse(value) - now.getTime()) / 1_000
  return Number.isFinite(seconds) ? Math.min(Math.max(1, Math.ceil(seconds)), MAX_WAIT_SECONDS) : undefined
}

function untilReset(headers: RawAnswer['headers'], now: Date): number | undefined {
  const reset = headers.get('x-ratelimit-reset')
  if (reset === null || !/^\d{1,12}$/.test(reset)) return undefined
  return Math.min(Math.max(1, Number(reset) - Math.floor(now.getTime() / 1_000)), MAX_WAIT_SECONDS)
}
