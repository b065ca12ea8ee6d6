/**
 * What to say when a sign-in elsewhere came to nothing. The address of the page carries a name out of this list and nothing
 * that an issuer wrote.
 *
 * @module
 */
const ISSUER =
  'Your organization’s sign-in gave an answer that does not hold, so it was refused. Tell your administrator'

export const SIGN_IN_PROBLEMS: Readonly<Record<string, string>> = {
  state_invalid: 'That sign-in was finished already, took too long, or began in another browser. Begin again.',
  declined: 'You were not signed in there, or said no. Nothing has changed.',
  config_changed: 'Single sign-on of this workspace was changed meanwhile. Begin again.',
  session_changed: 'You are no longer signed in as the person who began to link. Sign in, then link again.',
  linked_to_other: 'That account is linked to somebody else here. Unlink it there first.',
  other_subject_linked:
    'You are linked to another account of your organization already. An administrator can unlink it, then link again.',
  provider_linked: 'You have linked another account of this kind already. Unlink it first.',
  subject_changed:
    'Your organization’s sign-in names somebody new with your address, so this counts as another person. An administrator can unlink the old one; then sign in to your account and link again.',
  account_exists:
    'This address has an account here already. Sign in to it with your password or a link by mail, then link single sign-on under Settings, Your account.',
  not_a_member: 'You are not a member of this workspace. Ask somebody to add you.',
  joining_closed: 'This workspace takes nobody new by single sign-on. Ask an administrator to add you.',
  workspace_full: 'This workspace has as many members as it may have. Tell an administrator.',
  disabled: 'This account is disabled.',
  not_linked:
    'This account is not linked to anybody here. Sign in another way, then link it under Settings, Your account.',
  email_missing: `${ISSUER}: it sent no e-mail address.`,
  email_unverified: `${ISSUER}: it does not say that your e-mail address was verified.`,
  email_unverified_entra: `${ISSUER}: Entra ID has to send the optional claim xms_edov, which says that your address was verified.`,
  google_unmanaged: 'This Google account is not managed by your organization. Use the one that is.',
  domain_foreign: 'Your address is not in a domain of this workspace.',
  directory_mismatch: `${ISSUER}: the account is of another directory.`,
  subject_missing: `${ISSUER}: it does not say who you are.`,
  wrong_issuer: `${ISSUER}: another issuer answered than was asked.`,
  wrong_audience: `${ISSUER}: the answer was meant for another application.`,
  wrong_nonce: `${ISSUER}: the answer belongs to another sign-in.`,
  signature_invalid: `${ISSUER}: the signature is not its own.`,
  id_token_missing: `${ISSUER}: there is no ID token in it.`,
  id_token_expired: `${ISSUER}: it is too old, or a clock is wrong.`,
  id_token_invalid: `${ISSUER}: the ID token is not complete.`,
  not_recent: 'You were asked to prove who you are now, and were not asked there. Sign out there, then try again.',
  client_refused: `${ISSUER}: it refuses the client secret that is set here.`,
  code_refused: `${ISSUER}: it did not take its own code back.`,
  callback_invalid: `${ISSUER}: the return was not complete.`,
  answer_invalid: 'The answer does not hold, so it was refused. Begin again.',
  provider_failed: 'The provider could not be asked who you are. Try again in a moment.',
  too_many: 'Too many attempts. Wait a while, then try again.',
  unavailable: 'Signing in is not possible right now. Try again in a moment.',
}

const OTHERWISE =
  'Your organization’s sign-in does not answer as it should. Try again later, or tell your administrator.'

/** @returns undefined where nothing went wrong */
export function problemWords(problem: unknown): string | undefined {
  if (typeof problem !== 'string' || !/^[a-z_]{1,40}$/.test(problem)) return undefined
  return Object.hasOwn(SIGN_IN_PROBLEMS, problem) ? SIGN_IN_PROBLEMS[problem] : OTHERWISE
}

/** What is wrong with a configuration, for whoever sets it up. */
export const CONFIG_PROBLEMS: Readonly<Record<string, string>> = {
  issuer_invalid: 'The issuer is not an https address.',
  issuer_shared:
    'This address stands for every directory at once. Use the one with your own directory id: https://login.microsoftonline.com/<directory id>/v2.0.',
  issuer_unreachable: 'The issuer cannot be reached from this server. It has to be https, and on the internet.',
  discovery_missing:
    'There is no document at <issuer>/.well-known/openid-configuration. The issuer is another address, often with a path.',
  discovery_unreadable: 'What is at <issuer>/.well-known/openid-configuration is not an OpenID Connect document.',
  issuer_mismatch: 'The document is of another issuer. Enter the issuer exactly as it calls itself:',
  endpoint_missing: 'The document lacks an authorization, token or key address.',
  endpoint_refused: 'The document names an address that is not https.',
  algorithms_refused: 'The issuer signs with shared secrets only. Choose RS256, PS256 or ES256 there.',
  client_auth_unsupported: 'The issuer takes no client secret by POST or Basic. Allow one of them for this client.',
  keys_unreadable: 'The signing keys of the issuer cannot be read.',
  client_refused: 'The issuer does not know this client id, or refuses the secret.',
  token_endpoint_failed: 'The token address of the issuer did not answer as one.',
  no_domain: 'No domain is proven yet: nobody can join, and an address leads nobody here.',
}
