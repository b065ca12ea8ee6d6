import { auth as calendarAuth, calendar as calendarApi, type calendar_v3 } from '@googleapis/calendar'
import { auth as gmailAuth, gmail as gmailApi, type gmail_v1 } from '@googleapis/gmail'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oc from 'openid-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { consentAs } from '@/sandbox/browser'
import { connect, oauthError, REDIRECT_URI, start } from '@/sandbox/core/test-kit'
import { type SandboxHandle, startSandbox } from '@/sandbox/server'

const ANA = { account: 'ana@juniperfreight.example' }
const BEN = { account: 'ben@juniperfreight.example' }
const AUTH = 'https://www.googleapis.com/auth/'
const IDENTITY = ['openid', 'email', 'profile']
const READ_MAIL = `${AUTH}gmail.readonly`
const EVENTS = `${AUTH}calendar.events`
const EVERYTHING = [...IDENTITY, READ_MAIL, `${AUTH}gmail.compose`, EVENTS, `${AUTH}calendar.calendarlist.readonly`]

/** Time stands still unless a test moves it. */
const STARTED = new Date()
let sandbox: SandboxHandle
beforeAll(async () => {
  sandbox = await startSandbox({ clock: { now: () => STARTED }, redirectUris: { google: [REDIRECT_URI] } })
})
afterAll(() => sandbox.close())

function gmail(accessToken: string): gmail_v1.Gmail {
  const auth = new gmailAuth.OAuth2()
  auth.setCredentials({ access_token: accessToken })
  return gmailApi({ version: 'v1', auth, rootUrl: `${sandbox.google.url}/`, retry: false })
}

function calendar(accessToken: string): calendar_v3.Calendar {
  const auth = new calendarAuth.OAuth2()
  auth.setCredentials({ access_token: accessToken })
  return calendarApi({ version: 'v3', auth, rootUrl: `${sandbox.google.url}/`, retry: false })
}

interface GoogleError {
  readonly code: number
  readonly message: string
  readonly status: string
  readonly errors: { reason: string }[]
  readonly details?: { reason?: string; fieldViolations?: { field: string }[] }[]
}

async function refusal(call: Promise<unknown>): Promise<GoogleError> {
  try {
    await call
  } catch (error) {
    const { response } = error as { response?: { data: { error: GoogleError } } }
    if (response === undefined) throw error
    return response.data.error
  }
  throw new Error('the call succeeded')
}

describe('authorization', () => {
  test('discovery, the ID token with nonce and the issuer on the callback satisfy a strict client', async () => {
    const config = await oc.discovery(new URL(sandbox.google.url), sandbox.google.clientId, undefined, undefined, {
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- deprecated to make it stand out; this is loopback
      execute: [oc.allowInsecureRequests],
    })
    expect(config.serverMetadata().issuer).toBe(sandbox.google.url)
    const { callback, tokens, scope } = await connect(sandbox, 'google', ANA, EVERYTHING)
    expect(callback.searchParams.get('iss')).toBe(sandbox.google.url)
    const claims = (tokens as oc.TokenEndpointResponse & oc.TokenEndpointResponseHelpers).claims()
    expect(claims).toMatchObject({ sub: '118300000000000000031', email: ANA.account, email_verified: true })
    expect(scope.split(' ')).toContain(`${AUTH}userinfo.email`)
    expect(scope.split(' ')).not.toContain('email')
    const keys = createRemoteJWKSet(new URL(`${sandbox.google.url}/oauth2/v3/certs`))
    await jwtVerify(tokens.id_token ?? '', keys, { issuer: sandbox.google.url, audience: sandbox.google.clientId })
  })

  test('an unticked scope is not granted, is missing from the answer, and its API says which scope it wanted', async () => {
    const { scope, accessToken, callback } = await connect(sandbox, 'google', { ...ANA, untick: [EVENTS] }, EVERYTHING)
    expect(scope.split(' ')).not.toContain(EVENTS)
    expect(callback.searchParams.get('scope')).toBe(scope)
    expect((await gmail(accessToken).users.getProfile({ userId: 'me' })).status).toBe(200)
    const refused = await refusal(calendar(accessToken).events.list({ calendarId: 'primary' }))
    expect(refused).toMatchObject({
      code: 403,
      status: 'PERMISSION_DENIED',
      errors: [{ reason: 'insufficientPermissions' }],
    })
    expect(refused.details?.[0]?.reason).toBe('ACCESS_TOKEN_SCOPE_INSUFFICIENT')
  })

  test.each([
    ['online access', { access_type: 'online' }],
    ['no consent page asked for', { prompt: 'select_account' }],
  ])('no refresh token with %s', async (_, parameters) => {
    const { tokens } = await connect(sandbox, 'google', ANA, EVERYTHING, parameters)
    expect(tokens).not.toHaveProperty('refresh_token')
  })

  test('a refusal comes back as access_denied with state and issuer', async () => {
    const { url, state } = await start(sandbox, 'google', EVERYTHING)
    const callback = await consentAs(url, { ...BEN, decision: 'deny' })
    expect(Object.fromEntries(callback.searchParams)).toEqual({
      error: 'access_denied',
      state,
      iss: sandbox.google.url,
    })
  })

  test.each([
    ['an unregistered redirect address', { redirect_uri: `${REDIRECT_URI}/` }, 'redirect_uri_mismatch'],
    ['an unknown scope', { scope: 'openid https://www.googleapis.com/auth/gmail.everything' }, 'invalid_scope'],
    ['an unknown client', { client_id: 'nobody' }, 'invalid_client'],
    ['the plain challenge method', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['an unknown prompt', { prompt: 'always' }, 'invalid_request'],
  ])('%s ends on a page and never redirects', async (_, parameters, code) => {
    const { url } = await start(sandbox, 'google', EVERYTHING, parameters)
    await expect(consentAs(url, ANA)).rejects.toThrow(code)
  })

  test('a wrong PKCE verifier obtains nothing', async () => {
    const { url, config, state, nonce } = await start(sandbox, 'google', EVERYTHING)
    const callback = await consentAs(url, ANA)
    const grant = oc.authorizationCodeGrant(config, callback, {
      expectedState: state,
      expectedNonce: nonce,
      pkceCodeVerifier: oc.randomPKCECodeVerifier(),
    })
    expect(await oauthError(grant)).toBe('invalid_grant')
  })

  test('an exchange that names another redirect address fails', async () => {
    const { url, config, state, verifier, nonce } = await start(sandbox, 'google', EVERYTHING)
    const callback = await consentAs(url, ANA)
    const moved = new URL(callback.href.replace('/connect/callback', '/elsewhere'))
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier }
    expect(await oauthError(oc.authorizationCodeGrant(config, moved, checks))).toBe('redirect_uri_mismatch')
  })

  test('a replayed code is refused and kills the tokens it obtained', async () => {
    const { url, config, state, verifier, nonce } = await start(sandbox, 'google', EVERYTHING)
    const callback = await consentAs(url, ANA)
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier }
    const { access_token, refresh_token } = await oc.authorizationCodeGrant(config, callback, checks)
    expect(await oauthError(oc.authorizationCodeGrant(config, callback, checks))).toBe('invalid_grant')
    expect(await refusal(gmail(access_token).users.getProfile({ userId: 'me' }))).toMatchObject({ code: 401 })
    expect(await oauthError(oc.refreshTokenGrant(config, refresh_token ?? ''))).toBe('invalid_grant')
  })

  test.each([
    ['in the body', () => oc.ClientSecretPost('wrong')],
    ['as Basic', () => oc.ClientSecretBasic('wrong')],
  ])('a wrong client secret is a 401 %s', async (_, authentication) => {
    const metadata = { issuer: sandbox.google.url, token_endpoint: `${sandbox.google.url}/token` }
    const config = new oc.Configuration(metadata, sandbox.google.clientId, undefined, authentication())
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- deprecated to make it stand out; this is loopback
    oc.allowInsecureRequests(config)
    expect(await oauthError(oc.refreshTokenGrant(config, 'x'))).toBe('invalid_client')
  })

  test('Basic client authentication works, as discovery says', async () => {
    const { refreshToken } = await connect(sandbox, 'google', ANA, EVERYTHING)
    const metadata = {
      issuer: sandbox.google.url,
      token_endpoint: `${sandbox.google.url}/token`,
      jwks_uri: `${sandbox.google.url}/oauth2/v3/certs`,
    }
    const basic = oc.ClientSecretBasic(sandbox.google.clientSecret)
    const config = new oc.Configuration(metadata, sandbox.google.clientId, undefined, basic)
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- deprecated to make it stand out; this is loopback
    oc.allowInsecureRequests(config)
    expect((await oc.refreshTokenGrant(config, refreshToken)).access_token).toMatch(/^ya29\./)
  })
})

describe('tokens', () => {
  test('a refresh gives no new refresh token, leaves the old access token alive, and can be repeated', async () => {
    const { config, accessToken, refreshToken } = await connect(sandbox, 'google', ANA, EVERYTHING)
    const next = await oc.refreshTokenGrant(config, refreshToken)
    expect(next).not.toHaveProperty('refresh_token')
    expect(next.id_token).toBeDefined()
    for (const token of [
      accessToken,
      next.access_token,
      (await oc.refreshTokenGrant(config, refreshToken)).access_token,
    ]) {
      expect((await gmail(token).users.getProfile({ userId: 'me' })).data.emailAddress).toBe(ANA.account)
    }
  })

  test('an access token is dead at the very instant it expires', async () => {
    const { accessToken } = await connect(sandbox, 'google', ANA, EVERYTHING)
    sandbox.control.advance(3_598_999)
    expect((await gmail(accessToken).users.getProfile({ userId: 'me' })).status).toBe(200)
    sandbox.control.advance(1)
    expect(await refusal(gmail(accessToken).users.getProfile({ userId: 'me' }))).toMatchObject({
      code: 401,
      status: 'UNAUTHENTICATED',
      errors: [{ reason: 'authError' }],
    })
  })

  test('revoking one token ends everything that person granted, and nothing of anybody else', async () => {
    const one = await connect(sandbox, 'google', ANA, EVERYTHING)
    const sibling = await connect(sandbox, 'google', ANA, [...IDENTITY, READ_MAIL])
    const other = await connect(sandbox, 'google', BEN, EVERYTHING)
    await oc.tokenRevocation(one.config, one.refreshToken)
    expect(await refusal(gmail(one.accessToken).users.getProfile({ userId: 'me' }))).toMatchObject({ code: 401 })
    expect(await refusal(gmail(sibling.accessToken).users.getProfile({ userId: 'me' }))).toMatchObject({ code: 401 })
    expect(await oauthError(oc.refreshTokenGrant(sibling.config, sibling.refreshToken))).toBe('invalid_grant')
    expect((await gmail(other.accessToken).users.getProfile({ userId: 'me' })).status).toBe(200)
    expect(await oauthError(oc.tokenRevocation(one.config, one.refreshToken))).toBe('invalid_token')
  })

  test('a random bearer is nobody', async () => {
    expect(await refusal(gmail('ya29.made-up').users.messages.list({ userId: 'me' }))).toMatchObject({ code: 401 })
  })

  test('tokeninfo and userinfo tell what a live token is and nothing about a dead one', async () => {
    const { accessToken } = await connect(sandbox, 'google', BEN, EVERYTHING)
    const info = async (): Promise<unknown> =>
      (await fetch(`${sandbox.google.url}/tokeninfo?access_token=${accessToken}`)).json()
    expect(await info()).toMatchObject({ aud: sandbox.google.clientId, email: BEN.account, expires_in: '3599' })
    const userinfo = () =>
      fetch(`${sandbox.google.url}/v1/userinfo`, { headers: { authorization: `Bearer ${accessToken}` } })
    expect(await (await userinfo()).json()).toMatchObject({ sub: '118300000000000000047', name: 'Ben Okafor' })
    sandbox.control.revoke('google', { userId: BEN.account })
    expect(await info()).toEqual({ error: 'invalid_token', error_description: 'Invalid Value' })
    expect((await userinfo()).status).toBe(401)
  })
})

describe('Gmail', () => {
  const tokenOf = async (...scopes: string[]): Promise<string> =>
    (await connect(sandbox, 'google', ANA, [...IDENTITY, ...scopes])).accessToken

  test('finds a mail by sender and reads its text', async () => {
    const api = gmail(await tokenOf(READ_MAIL))
    const { data } = await api.users.messages.list({ userId: 'me', q: 'from:rosa', maxResults: 5 })
    expect(data.messages).toHaveLength(1)
    const { data: mail } = await api.users.messages.get({
      userId: 'me',
      id: data.messages?.[0]?.id ?? '',
      format: 'full',
    })
    const text =
      mail.payload?.parts?.find((p) => p.mimeType === 'text/plain')?.body?.data ?? mail.payload?.body?.data ?? ''
    expect(Buffer.from(text, 'base64url').toString()).toContain('30 bread boxes')
    const headers = await api.users.messages.get({
      userId: 'me',
      id: mail.id ?? '',
      format: 'metadata',
      metadataHeaders: ['Subject'],
    })
    expect(headers.data.payload?.headers?.map((h) => h.name)).toEqual(['Subject'])
  })

  test('pages through the mailbox without losing or repeating a mail', async () => {
    const api = gmail(await tokenOf(READ_MAIL))
    const seen: string[] = []
    let pageToken: string | undefined
    do {
      const { data }: { data: gmail_v1.Schema$ListMessagesResponse } = await api.users.messages.list({
        userId: 'me',
        maxResults: 2,
        ...(pageToken === undefined ? {} : { pageToken }),
      })
      seen.push(...(data.messages ?? []).map((m) => m.id ?? ''))
      pageToken = data.nextPageToken ?? undefined
    } while (pageToken !== undefined)
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBeGreaterThanOrEqual(6)
  })

  test('an empty result has no messages key', async () => {
    const { data } = await gmail(await tokenOf(READ_MAIL)).users.messages.list({ userId: 'me', q: 'subject:unicorns' })
    expect(data).toEqual({ resultSizeEstimate: 0 })
  })

  test('a draft is created, and only with a scope that writes', async () => {
    const raw = Buffer.from('To: rosa@padaria-pinto.example\r\nSubject: Saturday\r\n\r\nSee you at 7.').toString(
      'base64url',
    )
    const requestBody = { message: { raw } }
    const refused = await refusal(gmail(await tokenOf(READ_MAIL)).users.drafts.create({ userId: 'me', requestBody }))
    expect(refused).toMatchObject({ code: 403, errors: [{ reason: 'insufficientPermissions' }] })
    const token = await tokenOf(READ_MAIL, `${AUTH}gmail.compose`)
    const { data } = await gmail(token).users.drafts.create({ userId: 'me', requestBody })
    expect(data.message?.labelIds).toContain('DRAFT')
    const { data: stored } = await gmail(token).users.messages.get({ userId: 'me', id: data.message?.id ?? '' })
    expect(stored.snippet).toContain('See you at 7')
  })

  test('gmail.metadata reads headers and neither searches nor reads content', async () => {
    const api = gmail(await tokenOf(`${AUTH}gmail.metadata`))
    const { data } = await api.users.messages.list({ userId: 'me', maxResults: 1 })
    const id = data.messages?.[0]?.id ?? ''
    expect((await api.users.messages.get({ userId: 'me', id, format: 'metadata' })).status).toBe(200)
    expect(await refusal(api.users.messages.get({ userId: 'me', id, format: 'full' }))).toMatchObject({ code: 403 })
    expect(await refusal(api.users.messages.list({ userId: 'me', q: 'x' }))).toMatchObject({ code: 403 })
  })

  test.each([
    ['an unknown query parameter', { query: 'x' }, 'query'],
    ['a number out of range', { maxResults: 501 }, 'maxResults'],
    ['a number that is not one', { maxResults: 'many' }, 'maxResults'],
    ['a token in the query', { access_token: 'x' }, 'access_token'],
  ])('%s is a 400 INVALID_ARGUMENT that names it', async (_, parameters, field) => {
    const call = gmail(await tokenOf(READ_MAIL)).users.messages.list({ userId: 'me', ...(parameters as object) })
    const refused = await refusal(call)
    expect(refused).toMatchObject({ code: 400, status: 'INVALID_ARGUMENT' })
    expect(refused.details?.[0]?.fieldViolations?.map((v) => v.field)).toEqual([field])
  })

  test.each([
    ['an unknown body field', { message: { raw: 'VG86IGE' }, send: true }],
    ['a body field of the wrong type', { message: { raw: 7 } }],
    ['no message', {}],
    ['bytes that are not base64', { message: { raw: '***' } }],
    ['bytes that are not a message', { message: { raw: Buffer.from('hello').toString('base64url') } }],
  ])('a draft with %s is a 400', async (_, requestBody) => {
    const token = await tokenOf(`${AUTH}gmail.compose`)
    const call = gmail(token).users.drafts.create({ userId: 'me', requestBody: requestBody as gmail_v1.Schema$Draft })
    expect(await refusal(call)).toMatchObject({ code: 400, status: 'INVALID_ARGUMENT' })
  })

  test('another person’s mailbox is closed, an unknown mail and a wrong method are not found', async () => {
    const token = await tokenOf(READ_MAIL)
    expect(await refusal(gmail(token).users.messages.list({ userId: BEN.account }))).toMatchObject({ code: 403 })
    expect(await refusal(gmail(token).users.messages.get({ userId: 'me', id: 'nope' }))).toMatchObject({ code: 404 })
    expect(await refusal(gmail(token).users.messages.delete({ userId: 'me', id: 'nope' }))).toMatchObject({ code: 404 })
  })
})

describe('Calendar', () => {
  const api = async (): Promise<calendar_v3.Calendar> =>
    calendar(
      (await connect(sandbox, 'google', ANA, [...IDENTITY, EVENTS, `${AUTH}calendar.calendarlist.readonly`]))
        .accessToken,
    )
  const at = (hour: number) => ({ dateTime: `2030-05-06T${String(hour).padStart(2, '0')}:00:00+01:00` })

  test('lists the calendars and this week’s events in order of their start', async () => {
    const calendars = await (await api()).calendarList.list({})
    expect(calendars.data.items?.find((c) => c.primary)?.id).toBe(ANA.account)
    const { data } = await (
      await api()
    ).events.list({ calendarId: 'primary', singleEvents: true, orderBy: 'startTime', maxResults: 50 })
    const starts = (data.items ?? []).map((e) => e.start?.dateTime ?? '')
    expect(starts.length).toBeGreaterThanOrEqual(5)
    expect(starts).toEqual([...starts].sort())
    expect(data.items?.[0]).toMatchObject({ summary: 'Week start', kind: 'calendar#event', status: 'confirmed' })
  })

  test('an inserted event is found again, and its own id makes a repeat a conflict', async () => {
    const client = await api()
    const requestBody = {
      id: 'trial0001',
      summary: 'Bike service',
      start: at(9),
      end: at(10),
      attendees: [{ email: BEN.account }],
    }
    const { data } = await client.events.insert({ calendarId: 'primary', sendUpdates: 'none', requestBody })
    expect(data).toMatchObject({ id: 'trial0001', summary: 'Bike service', organizer: { email: ANA.account } })
    expect(await refusal(client.events.insert({ calendarId: 'primary', requestBody }))).toMatchObject({ code: 409 })
    const { data: again } = await client.events.get({ calendarId: 'primary', eventId: 'trial0001' })
    expect(again).toEqual(data)
    expect(await refusal(client.events.get({ calendarId: 'primary', eventId: 'trial0002' }))).toMatchObject({
      code: 404,
    })
    const found = await client.events.list({
      calendarId: ANA.account,
      timeMin: '2030-05-06T00:00:00Z',
      timeMax: '2030-05-07T00:00:00Z',
    })
    expect(found.data.items?.map((e) => e.id)).toEqual(['trial0001'])
  })

  test.each([
    ['an unknown field', { start: at(9), end: at(10), title: 'x' }],
    ['a field without effect here', { start: at(9), end: at(10), recurrence: ['RRULE:FREQ=DAILY'] }],
    ['no end', { start: at(9) }],
    ['an end before its start', { start: at(10), end: at(9) }],
    ['a local time without a zone', { start: { dateTime: '2030-05-06T09:00:00' }, end: at(10) }],
    ['a guest that is not an address', { start: at(9), end: at(10), attendees: [{ email: 'ben' }] }],
  ])('an event with %s is a 400', async (_, requestBody) => {
    const call = (await api()).events.insert({
      calendarId: 'primary',
      requestBody: requestBody,
    })
    expect(await refusal(call)).toMatchObject({ code: 400 })
  })

  test('a calendar that may only be read refuses an event, an unknown one does not exist', async () => {
    const client = await api()
    const requestBody = { start: at(9), end: at(10) }
    const holidays = 'c_holidays@juniperfreight.example'
    expect(await refusal(client.events.insert({ calendarId: holidays, requestBody }))).toMatchObject({ code: 403 })
    expect(await refusal(client.events.list({ calendarId: 'nobody@x.example' }))).toMatchObject({ code: 404 })
  })

  test('ordering by start needs single events, and an unknown parameter is refused', async () => {
    const client = await api()
    expect(await refusal(client.events.list({ calendarId: 'primary', orderBy: 'startTime' }))).toMatchObject({
      code: 400,
    })
    const unknown = { calendarId: 'primary', limit: 3 } as calendar_v3.Params$Resource$Events$List
    expect(await refusal(client.events.list(unknown))).toMatchObject({ code: 400 })
  })
})
