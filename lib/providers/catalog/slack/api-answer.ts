/**
 * What an answer of Slack's API, which has status 200 whatever it says means.
 *
 * @module
 */
import { z } from 'zod'

import {
  fallback,
  isSuccess,
  OK,
  refused,
  scopeList,
  unexpected,
  waitSeconds,
  word,
  type ApiAnswer,
  type ApiVerdict,
} from '../../api-answer'

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

export function judgeSlack(answer: ApiAnswer, now: Date): ApiVerdict {
  const { status, headers } = answer
  const body = slackAnswer.safeParse(answer.json)
  const code = body.success ? word(body.data.error) : ''
  if (status === 429 || code === 'ratelimited' || code === 'rate_limited')
    return {
      kind: 'rate_limited',
      code: 'rate_limit',
      retryAfterSeconds: waitSeconds(headers.get('retry-after'), now) ?? 30,
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
