/**
 * Google's authorization server: consent that can be given in part, a refresh token only when offline access was consented
 * to on a page, refresh without rotation, and a revocation that ends everything the person granted.
 *
 * @module
 */
import { isClient, type RegisteredApp } from '@/sandbox/core/app'
import { ConsentDesk } from '@/sandbox/core/consent'
import type { Control } from '@/sandbox/core/control'
import { basicCredentials, form, html, type Incoming, json, redirect, type Reply, single } from '@/sandbox/core/http'
import { type Grant, isChallenge, type Issued, type Ledger } from '@/sandbox/core/ledger'
import { homePage, problemPage } from '@/sandbox/core/pages'
import { accessTokenHash, type IdTokenSigner } from '@/sandbox/google/id-token'
import { DOMAIN, nameOf, PEOPLE } from '@/sandbox/google/seed'

const AUTH = 'https://www.googleapis.com/auth/'
/** Short spellings, and what Google answers with. */
const CANONICAL: Readonly<Record<string, string>> = {
  email: `${AUTH}userinfo.email`,
  profile: `${AUTH}userinfo.profile`,
}
const SIGN_IN = new Set(['openid', `${AUTH}userinfo.email`, `${AUTH}userinfo.profile`])
const SCOPES: Readonly<Record<string, string>> = {
  openid: 'Associate you with your personal info on Google',
  [`${AUTH}userinfo.email`]: 'See your primary Google Account email address',
  [`${AUTH}userinfo.profile`]: 'See your personal info, including any you’ve made publicly available',
  'https://mail.google.com/': 'Read, compose, send, and permanently delete all your email',
  [`${AUTH}gmail.readonly`]: 'View your email messages and settings',
  [`${AUTH}gmail.metadata`]: 'View your email message metadata such as labels and headers, but not the email body',
  [`${AUTH}gmail.compose`]: 'Manage drafts and send emails',
  [`${AUTH}gmail.modify`]: 'Read, compose, and send emails',
  [`${AUTH}gmail.send`]: 'Send email on your behalf',
  [`${AUTH}gmail.labels`]: 'See and edit your email labels',
  [`${AUTH}calendar`]: 'See, edit, share, and permanently delete all the calendars you can access',
  [`${AUTH}calendar.readonly`]: 'See and download any calendar you can access',
  [`${AUTH}calendar.events`]: 'View and edit events on all your calendars',
  [`${AUTH}calendar.events.readonly`]: 'View events on all your calendars',
  [`${AUTH}calendar.events.owned`]: 'See, create, change, and delete events on calendars you own',
  [`${AUTH}calendar.calendarlist.readonly`]: 'See the list of calendars you’re subscribed to',
  [`${AUTH}calendar.freebusy`]: 'View your availability in your calendars',
  [`${AUTH}drive.file`]: 'See, edit, create, and delete only the files you use with this app',
  [`${AUTH}drive.readonly`]: 'See and download all your files',
  [`${AUTH}drive.metadata.readonly`]: 'See information about your files',
  [`${AUTH}contacts.readonly`]: 'See and download your contacts',
  [`${AUTH}tasks.readonly`]: 'View your tasks',
}

export interface GoogleOAuth {
  /** Undefined when the path is not one of the authorization server's. */
  handle(request: Incoming): Promise<Reply> | undefined
}

export function createGoogleOAuth(
  base: string,
  app: RegisteredApp,
  ledger: Ledger,
  control: Control,
  signer: IdTokenSigner,
): GoogleOAuth {
  const desk = new ConsentDesk(
    {
      provider: 'google',
      appName: app.name,
      issuer: base,
      people: PEOPLE.map((person) => ({ id: person.email, name: nameOf(person), detail: person.email })),
      describe: (scope) => ({ words: SCOPES[scope] ?? scope, optional: !SIGN_IN.has(scope) }),
      isKnown: (userId, request) => {
        const grant = ledger.liveGrant(userId)
        return (
          !request.flow.includes('consent') &&
          grant !== undefined &&
          request.scopes.every((s) => grant.scopes.includes(s))
        )
      },
      accumulateScopes: true,
      refusal: { error: 'access_denied' },
      success: (_, scopes) => ({ scope: scopes.join(' '), authuser: '0', prompt: 'consent', hd: DOMAIN }),
    },
    ledger,
    control,
  )

  function authorize(request: Incoming): Reply {
    const fields = single(request.query)
    const failed = (code: string, words: string): Reply =>
      html(code === 'invalid_client' ? 401 : 400, problemPage('google', code, words))
    if (fields === undefined) return failed('invalid_request', 'OAuth 2 parameters can only have a single value.')
    if (fields.get('client_id') !== app.clientId) return failed('invalid_client', 'The OAuth client was not found.')
    const redirectUri = fields.get('redirect_uri')
    if (redirectUri === undefined || !app.redirectUris.has(redirectUri)) {
      return failed(
        'redirect_uri_mismatch',
        'The redirect URI in the request does not match the ones authorized for the OAuth client.',
      )
    }
    if (fields.get('response_type') !== 'code')
      return failed('invalid_request', 'Required parameter is missing: response_type')
    const asked = (fields.get('scope') ?? '')
      .split(' ')
      .filter((scope) => scope !== '')
      .map((scope) => CANONICAL[scope] ?? scope)
    if (asked.length === 0) return failed('invalid_request', 'Missing required parameter: scope')
    const unknown = asked.filter((scope) => !(scope in SCOPES))
    if (unknown.length > 0)
      return failed('invalid_scope', `Some requested scopes were invalid. {invalid=[${unknown.join(', ')}]}`)
    const accessType = fields.get('access_type') ?? 'online'
    if (accessType !== 'online' && accessType !== 'offline')
      return failed('invalid_request', `Invalid access_type: ${accessType}`)
    const prompts = (fields.get('prompt') ?? '').split(' ').filter((prompt) => prompt !== '')
    if (prompts.some((prompt) => !['none', 'consent', 'select_account'].includes(prompt))) {
      return failed('invalid_request', `Invalid parameter value for prompt: Invalid prompt: ${prompts.join(' ')}`)
    }
    const state = fields.get('state')
    if (prompts.includes('none')) {
      return redirect(redirectUri, { error: 'interaction_required', state, iss: control.iss('google', base) })
    }
    const challenge = fields.get('code_challenge')
    if (challenge !== undefined && (fields.get('code_challenge_method') !== 'S256' || !isChallenge(challenge))) {
      return failed('invalid_request', 'Invalid code_challenge or code_challenge_method.')
    }
    const consents = prompts.includes('consent')
    const hint = fields.get('login_hint')
    const hinted = prompts.includes('select_account')
      ? undefined
      : PEOPLE.find((p) => p.email === hint || p.sub === hint)
    return desk.open({
      redirectUri,
      state,
      scopes: [...new Set(asked)],
      challenge,
      nonce: fields.get('nonce'),
      offline: accessType === 'offline' && consents,
      flow: `${consents ? 'consent' : 'plain'}${fields.get('include_granted_scopes') === 'true' ? '+granted' : ''}`,
      account: hinted?.email,
    })
  }

  function token(request: Incoming): Reply {
    const fields = form(request)
    const failed = (status: number, error: string, description: string): Reply =>
      json(status, { error, error_description: description })
    if (fields === undefined) return failed(400, 'invalid_request', 'Could not parse the form body.')
    const basic = basicCredentials(request)
    if (basic !== undefined && fields.has('client_secret'))
      return failed(400, 'invalid_request', 'Use one way to authenticate the client.')
    const id = basic?.id ?? fields.get('client_id')
    if (id === undefined) return failed(400, 'invalid_request', 'Could not determine client ID from request.')
    if (id !== app.clientId) return failed(401, 'invalid_client', 'The OAuth client was not found.')
    if (!isClient(app, id, basic?.secret ?? fields.get('client_secret')))
      return failed(401, 'invalid_client', 'Unauthorized')
    switch (fields.get('grant_type')) {
      case 'refresh_token': {
        const presented = fields.get('refresh_token')
        if (presented === undefined) return failed(400, 'invalid_request', 'Missing required parameter: refresh_token')
        control.countRefresh('google', presented)
        const issued = ledger.refresh(presented)
        if (issued === undefined) return failed(400, 'invalid_grant', 'Token has been expired or revoked.')
        return json(200, tokenBody(issued, undefined, issued.refresh?.value !== presented), NO_STORE)
      }
      case 'authorization_code': {
        const presented = fields.get('code')
        if (presented === undefined) return failed(400, 'invalid_request', 'Missing required parameter: code')
        const code = ledger.redeem(presented, fields.get('redirect_uri'), fields.get('code_verifier'), true)
        if (code === 'redirect') return failed(400, 'redirect_uri_mismatch', 'Bad Request')
        if (code === 'verifier') return failed(400, 'invalid_grant', 'Invalid code verifier.')
        if (typeof code === 'string')
          return failed(400, 'invalid_grant', code === 'unknown' ? 'Malformed auth code.' : 'Bad Request')
        const granted = code.flow.includes('+granted')
          ? (ledger.grant(code.grantId)?.scopes ?? code.scopes)
          : code.scopes
        const from = { grantId: code.grantId, family: code.value, scopes: granted, flow: code.flow }
        const issued = ledger.issue(from, code.offline)
        if (code.offline) ledger.capConsents(code.grantId, granted)
        return json(200, tokenBody(issued, code.nonce, true), NO_STORE)
      }
      default:
        return failed(400, 'unsupported_grant_type', `Invalid grant_type: ${fields.get('grant_type') ?? ''}`)
    }
  }

  function tokenBody(issued: Issued, nonce: string | undefined, tellRefresh: boolean): Record<string, unknown> {
    const { access, refresh, grant, expiresInS } = issued
    return {
      access_token: access.value,
      ...(expiresInS === undefined ? {} : { expires_in: expiresInS }),
      ...(refresh === undefined || !tellRefresh ? {} : { refresh_token: refresh.value }),
      ...(refresh !== undefined && tellRefresh && ledger.policy.refreshLifetimeS !== undefined
        ? { refresh_token_expires_in: ledger.policy.refreshLifetimeS }
        : {}),
      scope: access.scopes.join(' '),
      token_type: 'Bearer',
      ...(access.scopes.includes('openid') ? { id_token: idToken(grant, access.scopes, access.value, nonce) } : {}),
    }
  }

  function idToken(grant: Grant, scopes: readonly string[], accessToken: string, nonce: string | undefined): string {
    const issuedAt = Math.floor(control.clock.nowMs() / 1000)
    return signer.sign({
      iss: base,
      azp: app.clientId,
      aud: app.clientId,
      ...claims(grant, scopes),
      at_hash: accessTokenHash(accessToken),
      ...(nonce === undefined ? {} : { nonce }),
      iat: issuedAt,
      exp: issuedAt + 3600,
    })
  }

  function claims(grant: Grant, scopes: readonly string[]): Record<string, unknown> {
    const person = PEOPLE.find((candidate) => candidate.email === grant.userId)
    if (person === undefined) return { sub: grant.userId }
    return {
      sub: person.sub,
      hd: DOMAIN,
      ...(scopes.includes(`${AUTH}userinfo.email`) ? { email: person.email, email_verified: true } : {}),
      ...(scopes.includes(`${AUTH}userinfo.profile`)
        ? {
            name: nameOf(person),
            picture: `${base}/avatars/${person.sub}.png`,
            given_name: person.givenName,
            family_name: person.familyName,
          }
        : {}),
    }
  }

  function revoke(request: Incoming): Reply {
    const presented = form(request)?.get('token') ?? request.query.get('token')
    if (presented === null || presented === '') {
      return json(400, { error: 'invalid_request', error_description: 'Missing required parameter: token' })
    }
    const found = ledger.token(presented)
    const grant = found === undefined ? undefined : ledger.grant(found.grantId)
    if (found === undefined || found.state === 'revoked' || grant === undefined || grant.revoked) {
      return json(400, { error: 'invalid_token', error_description: 'Token expired or revoked' })
    }
    ledger.revokeGrant(grant.id)
    return json(200, {})
  }

  function userinfo(request: Incoming): Reply {
    const bearer = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
    const { state, token: access, grant } = ledger.inspect(bearer)
    control.countApiToken('google', bearer === '' ? 'none' : state)
    if (
      state !== 'valid' ||
      access === undefined ||
      grant === undefined ||
      !access.scopes.some((s) => SIGN_IN.has(s))
    ) {
      return json(
        401,
        { error: 'invalid_request', error_description: 'Invalid Credentials' },
        { 'www-authenticate': 'Bearer realm="https://accounts.google.com/", error="invalid_token"' },
      )
    }
    return json(200, claims(grant, access.scopes))
  }

  function tokeninfo(request: Incoming): Reply {
    const presented = request.query.get('access_token') ?? form(request)?.get('access_token') ?? ''
    const { state, token: access, grant } = ledger.inspect(presented)
    if (state !== 'valid' || access === undefined || grant === undefined) {
      return json(400, { error: 'invalid_token', error_description: 'Invalid Value' })
    }
    const expiresAt = access.expiresAt ?? control.clock.nowMs() + 3_600_000
    const { sub, email, email_verified } = claims(grant, access.scopes)
    return json(200, {
      azp: app.clientId,
      aud: app.clientId,
      sub,
      scope: access.scopes.join(' '),
      exp: String(Math.floor(expiresAt / 1000)),
      expires_in: String(Math.floor((expiresAt - control.clock.nowMs()) / 1000)),
      ...(email === undefined ? {} : { email, email_verified: String(email_verified) }),
      access_type: 'offline',
    })
  }

  const discovery = {
    issuer: base,
    authorization_endpoint: `${base}/o/oauth2/v2/auth`,
    token_endpoint: `${base}/token`,
    userinfo_endpoint: `${base}/v1/userinfo`,
    revocation_endpoint: `${base}/revoke`,
    jwks_uri: `${base}/oauth2/v3/certs`,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256'],
    scopes_supported: ['openid', 'email', 'profile'],
    token_endpoint_auth_methods_supported: ['client_secret_post', 'client_secret_basic'],
    claims_supported: [
      'aud',
      'email',
      'email_verified',
      'exp',
      'family_name',
      'given_name',
      'iat',
      'iss',
      'name',
      'picture',
      'sub',
    ],
    code_challenge_methods_supported: ['S256'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
  }

  function route(request: Incoming): Promise<Reply> | undefined {
    const fromPage = desk.handle(request)
    if (fromPage !== undefined) return Promise.resolve(fromPage)
    const only = (method: string, handle: () => Reply): Promise<Reply> =>
      Promise.resolve(
        request.method === method
          ? handle()
          : json(405, { error: 'invalid_request', error_description: `Use ${method}.` }, { allow: method }),
      )
    switch (request.path) {
      case '/':
        return only('GET', () => html(200, homePage('google')))
      case '/.well-known/openid-configuration':
        return only('GET', () => json(200, discovery))
      case '/.well-known/risc-configuration':
        return only('GET', () => json(200, { issuer: `${base}/`, jwks_uri: discovery.jwks_uri }))
      case '/oauth2/v3/certs':
        return only('GET', () => json(200, signer.jwks, { 'cache-control': 'public, max-age=300' }))
      case '/o/oauth2/v2/auth':
        return only('GET', () => authorize(request))
      case '/token':
        if (request.method !== 'POST') return only('POST', () => json(200, {}))
        return control.through('google', 'token', request, () => Promise.resolve(token(request)))
      case '/revoke':
        if (request.method !== 'POST') return only('POST', () => json(200, {}))
        return control.through('google', 'revoke', request, () => Promise.resolve(revoke(request)))
      case '/v1/userinfo':
      case '/oauth2/v3/userinfo':
        return control.through('google', 'api', request, () => Promise.resolve(userinfo(request)))
      case '/tokeninfo':
        return Promise.resolve(tokeninfo(request))
      default:
        return undefined
    }
  }
  return { handle: route }
}

const NO_STORE = { 'cache-control': 'no-cache, no-store, max-age=0, must-revalidate', pragma: 'no-cache' }
