/**
 * What the codes in records and rows mean, for people.
 *
 * @module
 */
const reasons: Readonly<Record<string, string>> = {
  not_in_profile: 'Not among the tools of this agent',
  unknown_tool: 'No tool has this name',
  session_scope: 'The session may not do this kind of thing',
  invalid_request: 'The arguments were not what the tool takes',
  session_ended: 'The session had ended',
  agent_disabled: 'The agent was disabled',
  tenant_disabled: 'The workspace was disabled',
  profile_changed: 'The tools of the agent changed in this moment',
  connection_missing: 'No account is connected for this tool',
  connection_blocked: 'The account was blocked',
  connection_not_ready: 'The account was not ready yet',
  connection_reauthorization_required: 'The account has to be connected again',
  connection_already_revoked: 'Access to the account was withdrawn',
  resource_not_found: 'The account is gone',
  scope_missing: 'The account lacks a permission',
  provider_rate_limited: 'The provider asked to slow down',
  provider_rejected: 'The provider refused the request',
  provider_unavailable: 'The provider did not answer',
  answer_too_large: 'The provider’s answer was too large',
  client_disconnected: 'The client went away',
  rate_limited: 'Too many calls at once',
  egress_timeout: 'The provider took too long',
  egress_refused: 'The address was refused',
  expired: 'Not finished in time',
  refused: 'Refused at the provider',
  other_browser: 'Finished in another browser than it was started in',
  other_account: 'Another account was chosen',
  invalid_grant: 'The provider says that the consent has ended or was withdrawn',
  bad_refresh_token: 'The provider no longer knows what the access is renewed with',
  invalid_refresh_token: 'The provider no longer knows what the access is renewed with',
  invalid_rapt: 'The organisation of the account wants its owner to sign in again',
  admin_policy_enforced: 'An administrator of the account does not allow it any more',
  access_denied: 'The provider denies the access',
  token_expired: 'The access has ended, and nothing came with it to renew it',
  token_revoked: 'The access was withdrawn at the provider',
  account_inactive: 'The account is switched off at the provider',
  lost_rotation: 'A renewal was interrupted and its answer was lost',
  credential_missing: 'The stored credential is gone',
  invalid_client: 'The provider does not accept this server’s app',
  unauthorized_client: 'The provider does not accept this server’s app',
  incorrect_client_credentials: 'The provider does not accept this server’s app',
  bad_client_secret: 'The provider does not accept this server’s app',
  deleted_client: 'This server’s app was deleted at the provider',
  application_suspended: 'This server’s app is suspended at the provider',
  provider_unauthorized: 'The provider no longer accepts the access',
  provider_misconfigured: 'This server’s app at the provider is not set up right',
  provider_slow: 'The provider took too long',
  timeout: 'The provider took too long',
  deadline: 'The provider took too long',
  no_answer: 'The provider did not answer',
  aborted: 'The provider did not answer',
  connection_lost: 'The line broke before the answer came',
  unreachable: 'The provider could not be reached',
  too_large: 'The provider’s answer was too large',
  unreadable_answer: 'The provider’s answer made no sense',
  not_tried: 'Not tried',
  rate_limit: 'The provider asked to slow down',
  ratelimited: 'The provider asked to slow down',
  access_ended: 'The access was withdrawn',
  credential_unreadable: 'The stored credential could not be opened',
  internal_failure: 'Something failed at the provider',
  server_error: 'Something failed at the provider',
  backend_error: 'Something failed at the provider',
  internal_error: 'Something failed at the provider',
  fatal_error: 'Something failed at the provider',
  temporarily_unavailable: 'The provider says that it is not available for now',
  service_unavailable: 'The provider says that it is not available for now',
  rate_limit_exceeded: 'The provider asked to slow down',
  slow_down: 'The provider asked to slow down',
  app_incident: 'The provider refuses or fails all accounts of this server',
  unknown_error: 'The provider refused without a reason',
  process_lost: 'Nobody knows how it ended: the server was stopped meanwhile',
}

/** A status that an answer had and nothing beside it that says why. */
const STATUS = /^http_([1-5]\d\d)$/

/** A rule of the agent's profile, by its id. */
const RULE = /^rule:([a-z0-9-]+)$/

/** The words for a code; an unknown code is shown readably rather than hidden. */
export function reasonWords(code: string): string {
  const words = Object.hasOwn(reasons, code) ? reasons[code] : undefined
  if (words !== undefined) return words
  const [, rule] = RULE.exec(code) ?? []
  if (rule !== undefined) return `Refused by the rule “${rule}”`
  const [, status] = STATUS.exec(code) ?? []
  if (status !== undefined)
    return status >= '500'
      ? `Something failed at the provider (HTTP ${status})`
      : `The provider answered something unexpected (HTTP ${status})`
  const readable = code.replace(/[._]+/g, ' ').trim()
  return readable.charAt(0).toUpperCase() + readable.slice(1)
}
