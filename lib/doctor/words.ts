/**
 * Problems in words a person can act on: what happened, and what to do about it.
 *
 * @module
 */
import type { DetailKey, Problem, StepKind } from './step'

export interface Words {
  readonly title: string
  /** What is wrong, for somebody who does not know the specification. */
  readonly meaning: string
  readonly advice: string
}

export const STEP_WORDS: Readonly<Record<StepKind, string>> = {
  resource_metadata: 'Read what the agent’s URL says about itself',
  server_metadata: 'Read how to sign in here',
  registration: 'Asked to be registered as a client',
  authorization: 'Sent a person here to approve',
  consent: 'A person answered',
  token: 'Asked for tokens',
  mcp: 'Called the agent’s URL',
}

export const DETAIL_WORDS: Readonly<Record<DetailKey, string>> = {
  method: 'Method',
  tool: 'Tool',
  protocolVersion: 'Protocol version',
  resource: 'Resource',
  clientName: 'Calls itself',
  clientId: 'Client id',
  redirect: 'Returns to',
  scope: 'Scopes',
  grant: 'Grant',
  credential: 'Credential',
  origin: 'Origin',
  host: 'Host',
  contentType: 'Content type',
  accept: 'Accepts',
  session: 'MCP session',
  error: 'Told',
  reason: 'Reason',
}

const again = 'Remove the server in the client, add it again with the agent’s URL, and sign in.'
const report = 'This is a fault of the client. Update it; if it stays, tell its maker what is shown here.'

export const PROBLEM_WORDS: Readonly<Record<Problem, Words>> = {
  no_credentials: {
    title: 'No credential was sent',
    meaning:
      'The request had no Authorization header. For a client that signs in this is how it begins: it is told where.',
    advice:
      'If nothing follows, the client cannot sign in by itself: give it a session key in the Authorization header.',
  },
  not_a_bearer: {
    title: 'The Authorization header is not a bearer token',
    meaning: 'There was an Authorization header, but it does not begin with “Bearer”.',
    advice: 'Write the header as “Authorization: Bearer ” followed by the key, with one space between them.',
  },
  credential_in_url: {
    title: 'A credential stood in the address',
    meaning: 'Addresses end in logs and histories, so a credential there is refused, even beside a good header.',
    advice: 'Revoke the key that stood there, make a new one, and send it in the Authorization header only.',
  },
  foreign_token: {
    title: 'The token is not one of ours',
    meaning:
      'It has not the form of a session key or access token of this service, or a variable in a configuration was not filled in.',
    advice: 'Check that the variable with the key is set where the client runs, and that it holds a key of this agent.',
  },
  refresh_token_as_bearer: {
    title: 'A refresh token was sent as access token',
    meaning: 'A refresh token only fetches new access tokens; it opens nothing by itself.',
    advice: report,
  },
  api_key_as_bearer: {
    title: 'An API key was sent to an agent’s URL',
    meaning: 'API keys are for the REST API. An agent’s URL takes a session key of that agent.',
    advice: 'Make a session key on the agent’s page and use that.',
  },
  token_unknown: {
    title: 'The credential is unknown',
    meaning:
      'It looks like one of ours, but there is none like it: it is mistyped, cut off, of another installation, or long gone.',
    advice: 'Copy the key again or make a new one. A client that signs in: remove it there, add it again and sign in.',
  },
  token_expired: {
    title: 'The access token had expired',
    meaning: 'Access tokens last minutes. A client renews them by itself when it is told 401.',
    advice: 'Nothing, if a renewal follows. If none does, sign in again in the client.',
  },
  other_agent: {
    title: 'The credential belongs to another agent',
    meaning: 'Every agent has a URL of its own, and a key or token works at that URL alone.',
    advice: 'Use the key of this agent, or the URL of the other one.',
  },
  session_ended: {
    title: 'The session was ended',
    meaning: 'Somebody revoked it, or a token of it was used twice and it was ended for safety.',
    advice: `If it was meant to end, nothing. Otherwise: ${again} Or make a new session key.`,
  },
  session_expired: {
    title: 'The session has expired',
    meaning: 'Session keys and sign-ins end by themselves after a while.',
    advice: 'Sign in again in the client, or make a new session key.',
  },
  agent_disabled: {
    title: 'The agent is disabled',
    meaning: 'Nobody may use it until it is enabled again.',
    advice: 'Enable it at the top of this page, if it should work.',
  },
  person_gone: {
    title: 'Nobody stands behind this session any more',
    meaning: 'The person it acts for has left the workspace or was disabled, or the workspace was.',
    advice: 'Somebody who is a member signs in or makes a session key.',
  },
  insufficient_scope: {
    title: 'The sign-in allows less than this needs',
    meaning: 'The person approved reading only, and the client tried to change something.',
    advice: 'Sign in again in the client and approve what it asks for then.',
  },
  host_refused: {
    title: 'The request named another host',
    meaning: 'It reached this server under a name that is not its own. Only the public address is served.',
    advice:
      'Give the client the URL as it stands here. A proxy in between must pass the Host header on, or PUBLIC_URL must be its name.',
  },
  origin_refused: {
    title: 'A web page of another site called the agent',
    meaning: 'Browsers say which page a request comes from. Pages of other sites may not call an agent.',
    advice: 'Use a client that is not a page of another site, such as one that runs on your computer.',
  },
  http_method: {
    title: 'This way of asking is not offered',
    meaning: 'Some clients open a stream without a session to see if there is one. That does no harm.',
    advice: 'Nothing, if the client goes on. Otherwise set its transport to Streamable HTTP.',
  },
  content_type: {
    title: 'The body is not declared as JSON',
    meaning: 'The Content-Type header is missing or is not application/json.',
    advice: 'Set the client’s transport to Streamable HTTP. A proxy in between must not change the header.',
  },
  accept: {
    title: 'The client takes no form we answer in',
    meaning: 'Its Accept header has neither application/json nor text/event-stream.',
    advice: 'Set the client’s transport to Streamable HTTP.',
  },
  too_large: {
    title: 'The request is too large',
    meaning: 'Its body is larger than this endpoint takes.',
    advice: 'Send less at once, for example a file by its address and not by its content.',
  },
  not_json: {
    title: 'The body cannot be read',
    meaning: 'It is not JSON in UTF-8, or it is nested beyond reason.',
    advice: report,
  },
  version_unknown: {
    title: 'The protocol version is unknown',
    meaning: 'The client insists on a revision of MCP that is not spoken here.',
    advice: 'Update the client, or this server, whichever is older.',
  },
  headers_disagree: {
    title: 'Headers and body disagree',
    meaning: 'In the newest revision headers repeat what the body says, and they did not.',
    advice: `A proxy may have changed or dropped headers that begin with Mcp-. If there is none: ${report.toLowerCase()}`,
  },
  not_a_request: {
    title: 'The body is not an MCP request',
    meaning: 'It is JSON, but not a message of the protocol.',
    advice: report,
  },
  method_unknown: {
    title: 'The client asked for something that is not offered',
    meaning: 'The method it called is not one of this server.',
    advice: 'Nothing, if the client goes on: it was trying what there is.',
  },
  mcp_session_unknown: {
    title: 'The MCP session is unknown',
    meaning: 'The gateway that held it was started anew, or it was long unused. Clients begin a new one by themselves.',
    advice: 'Nothing, if an initialize follows. Otherwise start the client again.',
  },
  too_many_streams: {
    title: 'Too many open streams',
    meaning: 'The client opens more streams than it closes.',
    advice: 'Start the client again. If it happens often, update it.',
  },
  registration_refused: {
    title: 'The registration was refused',
    meaning:
      'What the client says about itself cannot be accepted: often an address to return to that is not https and not on the device.',
    advice:
      'Update the client. If it lets you enter a client id, make a client by the REST API (POST /api/v1/oauth-clients) and enter its id.',
  },
  unknown_client: {
    title: 'The client is unknown',
    meaning:
      'The client id is not registered here. Registrations nobody approves go after a day; an id may also be of another installation.',
    advice: again,
  },
  client_not_proven: {
    title: 'The client could not prove who it is',
    meaning: 'Its secret or key is wrong, or it used another method than it registered.',
    advice: `If you entered a client secret, enter it again. Otherwise: ${again}`,
  },
  redirect_mismatch: {
    title: 'The address to return to is not registered',
    meaning:
      'A client may only return to addresses it registered, to the letter; on this device only the port may differ.',
    advice: `For a client you made, add the address it shows. Otherwise: ${again}`,
  },
  pkce_missing: {
    title: 'PKCE is missing',
    meaning: 'The client did not send the one-time challenge without which a stolen code could be used by anybody.',
    advice: 'Update the client: every current one sends it. It cannot be turned off here.',
  },
  pkce_method: {
    title: 'PKCE is used in a weak form',
    meaning: 'Only the method S256 is taken.',
    advice: 'Update the client: every current one uses S256.',
  },
  wrong_resource: {
    title: 'The token was asked for another address',
    meaning:
      'The client named a resource that is not the URL of one agent here, or several, or none while you have several agents.',
    advice: 'Give the client exactly the URL on this page: no slash at the end, no other name for the host.',
  },
  scope_refused: {
    title: 'The client asked only for what cannot be given',
    meaning: 'None of the scopes it wants exists for agents.',
    advice: 'Leave the scopes in the client empty, or set them to “mcp:read mcp:write”.',
  },
  response_type: {
    title: 'The client wants another kind of answer',
    meaning: 'Only authorization codes are given, in the query.',
    advice: report,
  },
  denied: {
    title: 'A person said no',
    meaning: 'Whoever was asked did not approve, or may not give this agent to anybody.',
    advice: 'If it was a mistake, start again in the client.',
  },
  consent_over: {
    title: 'The question was over',
    meaning: 'It was answered before, left open too long, or another browser came back than the one that was asked.',
    advice: 'Start again in the client, and stay in the browser it opens.',
  },
  code_unknown: {
    title: 'The code is unknown',
    meaning: 'It is long gone, cut off, or of another installation.',
    advice: 'Start again in the client.',
  },
  code_expired: {
    title: 'The code had expired',
    meaning: 'The client has a minute to redeem it and took longer. A clock cannot be the reason: ours alone counts.',
    advice: 'Start again in the client. If it happens each time, something between the client and this server is slow.',
  },
  code_used: {
    title: 'The code was used before',
    meaning: 'A code works once. Because a second use may be a thief’s, the session it opened was ended.',
    advice: 'Start again in the client. If it happens each time, the client or a proxy sends requests twice.',
  },
  pkce_mismatch: {
    title: 'The PKCE verifier does not fit',
    meaning: 'Whoever redeems the code is not who asked for it, or the client mixed up two sign-ins.',
    advice: 'Start again in the client, with one window only.',
  },
  redirect_changed: {
    title: 'The address to return to changed on the way',
    meaning: 'The client redeemed the code with another address than it had asked with.',
    advice: report,
  },
  client_changed: {
    title: 'Another client redeems what this one was given',
    meaning: 'Code or token were given to a client with another id.',
    advice: again,
  },
  refresh_unknown: {
    title: 'The refresh token is unknown',
    meaning: 'It is long gone, cut off, or of another installation.',
    advice: 'Sign in again in the client.',
  },
  refresh_expired: {
    title: 'The sign-in has expired',
    meaning: 'It was unused for too long, or has reached its full age.',
    advice: 'Sign in again in the client.',
  },
  refresh_used: {
    title: 'The refresh token was used before',
    meaning: 'Each works once. Because a second use may be a thief’s, the session was ended.',
    advice:
      'Sign in again in the client. If it happens often, two copies of the client share one sign-in: give each its own.',
  },
  grant_type: {
    title: 'This way to a token is not offered',
    meaning: 'The client asked for a grant it may not use.',
    advice: report,
  },
  rate_limited: {
    title: 'Too many attempts',
    meaning: 'This network tried more often than is allowed.',
    advice: 'Wait as long as the answer says, then start again in the client.',
  },
  malformed: {
    title: 'The request is not complete',
    meaning: 'A parameter is missing, twice there, or has a form that cannot be.',
    advice: report,
  },
  fault: {
    title: 'Something went wrong on our side',
    meaning: 'The request was fine; the answer could not be made.',
    advice: 'Try again. The log of the gateway at that time says more.',
  },
  other: {
    title: 'The request was refused',
    meaning: 'For a reason that has no words of its own yet.',
    advice: 'The status says the kind: 4xx lies with the client, 5xx with the server.',
  },
}

/** What is part of the way and alarms nobody. */
export const HARMLESS: ReadonlySet<Problem> = new Set([
  'no_credentials',
  'http_method',
  'method_unknown',
  'mcp_session_unknown',
  'token_expired',
])
