/**
 * What an answer of GitHub's API means.
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
  untilReset,
  waitSeconds,
  word,
  type ApiAnswer,
  type ApiVerdict,
} from '../../api-answer'

const githubError = z.object({
  message: z.string().catch(''),
  errors: z.array(z.object({ field: z.string().optional(), code: z.string().optional() }).catch({})).catch([]),
})

export function judgeGithub(answer: ApiAnswer, now: Date): ApiVerdict {
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
        retryAfterSeconds: waitSeconds(headers.get('retry-after'), now) ?? untilReset(headers, now) ?? 60,
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
