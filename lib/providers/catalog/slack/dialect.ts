/**
 * How Slack answers: status 200 whatever happened, `ok` to say which, and a person's token within `authed_user`.
 *
 * @see https://docs.slack.dev/reference/methods/oauth.v2.access
 * @module
 */
import type { TokenDialect, TokenErrors } from '../../definition'
import { isObject, textAt } from '../../json'

/** @param principal  whose token is wanted of an answer that may hold two */
export function slackDialect(principal: 'user' | 'bot'): TokenDialect {
  return {
    refusal: (whole) => {
      if (whole['ok'] === true) return undefined
      const code = textAt(whole, 'error')
      return code !== undefined ? { code } : whole['ok'] === false ? { code: '' } : undefined
    },
    tokens: (whole) => {
      const nested = whole['authed_user']
      return principal === 'user' && isObject(nested) && typeof nested['access_token'] === 'string' ? nested : whole
    },
    // Slack names the owner instead of the scheme.
    tokenTypes: [principal, 'bearer'],
  }
}

export const slackErrors: TokenErrors = {
  permanent: ['invalid_refresh_token'],
  appFault: [
    'bad_client_secret',
    'invalid_client_id',
    'invalid_grant_type',
    'pkce_not_allowed',
    'token_rotation_not_enabled',
    'bad_redirect_uri',
    'oauth_authorization_url_mismatch',
    'cannot_install_an_org_installed_app',
  ],
  weather: ['ratelimited', 'rate_limited', 'service_unavailable', 'team_added_to_org'],
  unknown: ['internal_error', 'fatal_error', 'request_timeout'],
}
