/**
 * What an answer of Google's APIs means.
 *
 * @module
 */
import { z } from 'zod'

import {
  fallback,
  isSuccess,
  OK,
  refused,
  unexpected,
  waitSeconds,
  word,
  type ApiAnswer,
  type ApiVerdict,
} from '../../api-answer'

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

export function judgeGoogle(answer: ApiAnswer, now: Date): ApiVerdict {
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
      retryAfterSeconds: waitSeconds(headers.get('retry-after'), now) ?? 30,
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
