/**
 * What tokens of Slack live through, and how they are ended.
 *
 * @see https://docs.slack.dev/authentication/using-token-rotation
 * @module
 */
import type { RevokeResult } from '../../client'
import type { Lifecycle, RevocationRequest, Trap } from '../../definition'
import { textAt } from '../../json'

export const slackLifecycle: Lifecycle = {
  accessSeconds: 43_200,
  accessMayNotExpire: true,
  refreshIdleSeconds: null,
  refreshAbsoluteSeconds: null,
  rotates: 'always',
  // “A short grace period.”
  graceSeconds: null,
  oldAccessTokenDiesOnRefresh: false,
}

/** @param rotating  the kind of token that rotates. @param lasting  the kind that does not */
export const slackTraps = (rotating: string, lasting: string): readonly Trap[] => [
  {
    id: 'slack_rotation_on',
    title: 'Token rotation cannot be turned off again',
    severity: 'note',
    words:
      'Token rotation is on for this server’s Slack app, and Slack cannot turn it off again. Use the app with this installation only, and copy its tokens nowhere: each renewal ends the one before.',
    when: { variants: [rotating] },
  },
  {
    id: 'slack_rotation_off',
    title: 'A token that never expires',
    severity: 'note',
    words:
      'Token rotation is off for this server’s Slack app, so its tokens never expire. It can be turned on in the app’s settings at Slack, for good: there is no way back. Reconnect afterwards.',
    when: { variants: [lasting] },
  },
]

/** Slack's words for a token that is of no use to anybody any more. */
const DEAD: readonly string[] = ['token_revoked', 'token_expired', 'invalid_auth', 'account_inactive', 'not_authed']

/** Each token ends itself. `apps.uninstall` would end everybody's. */
export async function revokeAtSlack({ tokens, endpoint, send }: RevocationRequest): Promise<RevokeResult> {
  for (const token of [tokens.accessToken, tokens.refreshToken]) {
    if (token === undefined) continue
    const result = await send(
      endpoint,
      { method: 'POST', headers: { authorization: `Bearer ${token.reveal()}` } },
      (_status, answer) => answer?.['ok'] === true || DEAD.includes(textAt(answer, 'error') ?? ''),
    )
    if (result.kind !== 'revoked') return result
  }
  return { kind: 'revoked' }
}
