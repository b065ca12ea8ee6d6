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
}

/** The words for a code; an unknown code is shown readably rather than hidden. */
export function reasonWords(code: string): string {
  const words = Object.hasOwn(reasons, code) ? reasons[code] : undefined
  if (words !== undefined) return words
  const readable = code.replace(/[._]+/g, ' ').trim()
  return readable.charAt(0).toUpperCase() + readable.slice(1)
}
