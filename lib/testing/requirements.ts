/**
 * What the endpoint and the authorization server must do, one line each in our own words, by the specifications they come
 * from. A test that proves one names it at the end of its title: `it('refuses a plain challenge [AS5]', …)`.
 *
 * `RS`: the MCP endpoint as a resource server. `AS`: the authorization server. `AZ`: its authorization endpoint and the
 * consent. `TK`: its token endpoint. `RG`: registration. `CD`: client documents. `SC`: scopes.
 *
 * @module
 */
export const REQUIREMENTS = {
  RS1: 'The endpoint of every agent has protected resource metadata that names an authorization server (RFC 9728 §2).',
  RS2: 'A 401 leads to that metadata, and the metadata stands at the well-known path with the endpoint’s own path behind it (RFC 9728 §3.1, §5.1).',
  RS3: 'The metadata names as resource exactly the URL that the client was given (RFC 9728 §3.3).',
  RS4: 'The metadata is JSON, 200, without a token, for any page to read (RFC 9728 §3.2).',
  RS5: 'Every request is authenticated, whatever its method and whatever session it names.',
  RS6: 'A token counts in the Authorization header and nowhere else (RFC 6750 §2).',
  RS7: 'A token that is unknown, expired or revoked is a 401.',
  RS8: 'A token counts at the one URL it was issued for (RFC 8707 §2).',
  RS9: 'No token of another issuer is accepted, and no token of a client ever reaches a provider.',
  RS10: 'A 401 says which scopes to ask for (RFC 6750 §3).',
  RS11: '401, 403 and 400 mean: no valid token; too small a scope or a foreign page; not a request.',
  RS12: 'Too small a scope is a 403 insufficient_scope that names everything the call takes, once (RFC 6750 §3.1).',
  RS13: 'A wider scope is enough where a narrower one is asked for.',
  RS14: 'offline_access is neither in the endpoint’s metadata nor in a challenge.',
  RS15: 'The endpoint’s metadata lists the usual scopes alone.',
  RS16: 'A page of another origin gets a 403.',
  RS17: 'Nothing but the token authenticates: no session id, no handle, no cookie.',

  AS1: 'Public and confidential clients get tokens by OAuth 2.1.',
  AS2: 'The server’s metadata is at the well-known path of RFC 8414; OpenID Connect is not claimed.',
  AS3: 'The issuer in it is, byte for byte, the origin that clients derive it from (RFC 8414 §3.3).',
  AS4: 'S256 is advertised, alone.',
  AS5: 'Every client needs an S256 challenge and its verifier; plain and none are refused (RFC 7636).',
  AS6: 'A redirect URI is compared letter for letter; only the port of a native client’s loopback address may differ (RFC 8252 §7.3).',
  AS7: 'A redirect URI is https, loopback, or a private-use scheme that has an owner; one unknown scheme spoils no registration.',
  AS8: 'Nobody is sent to an address that was not checked: unknown client or wrong address is a page of ours.',
  AS9: 'Every answer to a client names the issuer, errors too (RFC 9207).',
  AS10: 'A client may be the URL of a metadata document, and that is advertised.',
  AS11: 'A client may register itself (RFC 7591).',
  AS12: 'A person agrees for every client, every time, before it gets anything.',
  AS13: 'An access token lasts fifteen minutes at most.',
  AS14: 'A refresh token is replaced at every use, and the use of a replaced one ends them all (RFC 9700 §4.14).',
  AS15: 'What is issued is bound to one resource; any other is invalid_target (RFC 8707).',
  AS16: 'The consent shows the host the answer goes to, the host of the client’s id, and warns when all ways lead to this device.',
  AS17: 'When fewer scopes are given than asked for, the answer says which (RFC 6749 §3.3).',
  AS18: 'A client that registered for refresh tokens gets them, whether it asks for offline_access or not.',
  AS19: 'What answers a form is a 303, never a 307 (RFC 9700 §4.12).',
  AS20: 'Answers with tokens, errors and registrations are JSON and not stored (RFC 6749 §5.1).',
  AS21: 'A client takes back its own tokens and nobody else’s; a refresh token takes all of its kind along (RFC 7009).',

  AZ1: 'A parameter that comes twice is an error (RFC 6749 §3.1).',
  AZ2: 'Other response types and modes are refused.',
  AZ3: 'A missing resource means the person’s only agent; with several it is invalid_target. No token is without one.',
  AZ4: 'An agent of somebody else’s workspace is not named and not granted.',
  AZ5: 'The consent is answered by the person who read it, in the browser that began, on a page of ours.',
  AZ6: 'The consent is neither stored nor framed, and asks for nothing it did not show.',
  AZ7: 'A refusal is access_denied with state and issuer.',
  AZ8: 'What cannot be answered to the client is a page without any way on.',

  TK1: 'A code counts once; used again, everything that came of it ends (RFC 6749 §4.1.2).',
  TK2: 'A code counts with its client, address, verifier and resource, for a minute.',
  TK3: 'A refresh narrows a scope and never widens it; another client, another resource is refused.',
  TK4: 'A dead grant is 400 invalid_grant, an unknown client 401 invalid_client.',
  TK5: 'What is stored cannot be presented: neither codes nor tokens nor secrets.',
  TK6: 'Headless clients get tokens by a secret or a key, for their own agent, without refresh tokens (RFC 6749 §4.4, RFC 7523).',
  TK7: 'Introspection is for clients that authenticate, about their own tokens (RFC 7662).',
  TK8: 'The token endpoint takes forms by POST and answers everything else without harm.',
  TK9: 'A workspace shortens how long what its clients are given lasts, and cannot lengthen it.',

  RG1: 'A registration is 201 with everything that was kept, and its secret once (RFC 7591 §3.2).',
  RG2: 'Addresses that a browser would run or read are refused after parsing as a browser does.',
  RG3: 'Strangers register a bounded number of clients, by network and altogether; unused ones go.',
  RG4: 'What a client says about itself is shown as one line of plain text.',

  CD1: 'A document’s address is https with a path, without dots, user or fragment, judged before parsing.',
  CD2: 'A document is fetched from public addresses alone, without redirects, within size and time.',
  CD3: 'A document names itself and holds no secret.',
  CD4: 'A valid document is kept within bounds, a failure never.',
  CD5: 'A document that changed is asked about again, and what was given under the old one ends.',
  CD6: 'The documents and registrations of the clients that people use are accepted as they are.',

  SC1: 'Scopes are few and each includes the narrower ones.',
  SC2: 'Scopes narrow what the profile allows, in lists and calls, and never widen it.',
  SC3: 'mcp:admin is granted to no agent.',
} as const

export type RequirementId = keyof typeof REQUIREMENTS
