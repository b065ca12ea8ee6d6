/**
 * Whose token it is at Slack. User ids are unique per workspace, in an Enterprise organisation per organisation.
 *
 * @module
 */
import type { ProviderIdentity } from '../../client'
import { label, textAt, type Json } from '../../json'

function identityOf(whole: Json, id: string | undefined): ProviderIdentity | null {
  const place = textAt(whole, 'enterprise', 'id') ?? textAt(whole, 'team', 'id')
  if (place === undefined || id === undefined) return null
  const name = textAt(whole, 'team', 'name') ?? place
  return { subject: `${place}:${id}`, label: label(`${name} · ${id}`), email: null }
}

/** From an answer of the token endpoint. */
export const slackUserOf = (whole: Json) =>
  identityOf(whole, textAt(whole, 'authed_user', 'id') ?? textAt(whole, 'user_id'))

/** As above, of the app's own user in the workspace. */
export const slackBotOf = (whole: Json) => identityOf(whole, textAt(whole, 'bot_user_id'))

export function readAuthTest(body: Json): ProviderIdentity | null {
  const place = textAt(body, 'enterprise_id') ?? textAt(body, 'team_id')
  const id = textAt(body, 'user_id')
  if (body['ok'] !== true || place === undefined || id === undefined) return null
  return {
    subject: `${place}:${id}`,
    label: label(`${textAt(body, 'user') ?? id} · ${textAt(body, 'team') ?? place}`),
    email: null,
  }
}
