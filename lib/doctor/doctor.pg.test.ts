import { randomBytes } from 'node:crypto'
import http from 'node:http'

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'

import { systemClock } from '@/lib/clock'
import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import {
  approve,
  authorizeUrl,
  begin,
  answerConsent,
  callTools,
  connect,
  createOauthWorld,
  finish,
  newPkce,
  post,
  refresh,
  registerClient,
  type OauthPerson,
  type OauthWorld,
} from '@/lib/testing/oauth'

import { createDoctorRecorder, KEPT_STEPS } from './recorder'
import type { ShownStep } from './doctor'
import type { Observation } from './step'

describe('the connection doctor', () => {
  let world: OauthWorld
  let person: OauthPerson
  beforeAll(async () => {
    world = await createOauthWorld()
    person = await world.newPerson()
  })
  afterAll(() => world.close())

  let nextNetwork = 0
  /** A network of its own for each test, as the proxy before us would name it. */
  const newNetwork = () => `203.0.113.${(nextNetwork += 1)}`
  const from = (network: string) => ({ 'x-forwarded-for': network })

  const report = async (agentId: string, of = person) => {
    await world.recorder.flush()
    return world.doctor.report(of.principal, agentId)
  }
  /** What is told once the answer is out, a moment after the client has it. */
  const until = (agentId: string, wanted: (steps: readonly ShownStep[]) => boolean) =>
    vi.waitFor(
      async () => {
        const found = await report(agentId)
        expect(found.steps.map(({ step, problem, status }) => `${step} ${problem ?? 'ok'} ${status}`)).toSatisfy(() =>
          wanted(found.steps),
        )
        return found
      },
      { timeout: 3_000, interval: 50 },
    )
  const has = (step: string, problem: string | null) => (steps: readonly ShownStep[]) =>
    steps.some((one) => one.step === step && one.problem === problem)
  const send = (
    url: string,
    init: Omit<RequestInit, 'headers'> & { readonly headers?: Readonly<Record<string, string>> } = {},
    body: unknown = { jsonrpc: '2.0', id: 1, method: 'tools/list' },
  ) =>
    fetch(url, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...init,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'user-agent': 'Desk/1.4 (test)',
        ...init.headers,
      },
    })
  const mcp = send
  const sessionKey = async (agentId: string) => {
    const issued = await world.sessions.issue(person.principal, agentId)
    return { id: issued.id, key: issued.sessionKey.reveal() }
  }
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

  it('shows the whole way of a client that gets through, in its order, and says that it is connected', async () => {
    const agent = await world.newAgent(person)
    await mcp(agent.url)
    await fetch(`${world.origin}/.well-known/oauth-protected-resource/mcp/${agent.id}`)
    await until(agent.id, has('resource_metadata', null))
    await fetch(`${world.origin}/.well-known/oauth-authorization-server`)
    await until(agent.id, has('server_metadata', null))
    const { tokens } = await connect(world, person, agent.url)
    await until(agent.id, has('token', null))
    await callTools(agent.url, tokens.body['access_token'])
    const { steps, diagnosis } = await until(agent.id, has('mcp', null))
    const order = steps.map(({ step }) => step).reverse()
    expect([...new Set(order)]).toEqual([
      'mcp',
      'resource_metadata',
      'server_metadata',
      'registration',
      'authorization',
      'consent',
      'token',
    ])
    expect(diagnosis).toMatchObject({ state: 'connected', problem: null })
    expect(steps.find(({ step }) => step === 'registration')?.facts).toContainEqual({
      label: 'Calls itself',
      value: 'Desk client',
    })
  })

  it('says who is asked for when a person has not answered yet, and that they said no', async () => {
    const agent = await world.newAgent(person)
    const client = await registerClient(world)
    const uid = await begin(person.browser, authorizeUrl(client, newPkce(), { resource: agent.url }))
    expect((await until(agent.id, has('authorization', null))).diagnosis).toMatchObject({
      state: 'waiting',
      title: 'Waiting for a person',
    })
    await answerConsent(person.browser, uid, { decision: 'deny' })
    await finish(person.browser, uid)
    expect((await until(agent.id, has('consent', 'denied'))).diagnosis).toMatchObject({ problem: 'denied' })
  })

  it('says that tokens were never fetched after a person approved', async () => {
    const agent = await world.newAgent(person)
    const client = await registerClient(world)
    await approve(person.browser, authorizeUrl(client, newPkce(), { resource: agent.url }))
    const { diagnosis } = await until(agent.id, has('consent', null))
    expect(diagnosis).toMatchObject({ state: 'waiting', title: expect.stringContaining('did not fetch') as string })
    expect(diagnosis.meaning).toContain('127.0.0.1:33418')
  })

  describe('names why an authorization was refused:', () => {
    it.each([
      ['an unknown client', { client_id: newId('oauthClient') }, 'unknown_client'],
      [
        'an address to return to that is not registered',
        { redirect_uri: 'https://elsewhere.example/cb' },
        'redirect_mismatch',
      ],
      ['PKCE missing', { code_challenge: undefined, code_challenge_method: undefined }, 'pkce_missing'],
      ['PKCE in a weak form', { code_challenge_method: 'plain' }, 'pkce_method'],
      ['scopes that do not exist', { scope: 'everything' }, 'scope_refused'],
      ['another kind of answer', { response_type: 'token' }, 'response_type'],
    ])('%s', async (_, fields, problem) => {
      const agent = await world.newAgent(person)
      const client = await registerClient(world)
      await person.browser.go(authorizeUrl(client, newPkce(), { resource: agent.url, ...fields }))
      const { diagnosis } = await until(agent.id, has('authorization', problem))
      expect(diagnosis).toMatchObject({ state: 'failed', problem })
    })

    it('the address of an agent with something behind it, under the agent it names', async () => {
      const agent = await world.newAgent(person)
      const client = await registerClient(world)
      await person.browser.go(authorizeUrl(client, newPkce(), { resource: `${agent.url}/sse` }))
      const { diagnosis } = await until(agent.id, has('authorization', 'wrong_resource'))
      expect(diagnosis.title).toContain('another address')
    })
  })

  describe('names why tokens were refused:', () => {
    const code = async (agentUrl: string) => {
      const client = await registerClient(world)
      const pkce = newPkce()
      const back = await approve(person.browser, authorizeUrl(client, pkce, { resource: agentUrl }))
      const form = {
        grant_type: 'authorization_code',
        code: back.searchParams.get('code') ?? '',
        redirect_uri: client.redirectUri,
        client_id: client.id,
        code_verifier: pkce.verifier,
      }
      return { client, form }
    }

    it('the verifier of another sign-in', async () => {
      const agent = await world.newAgent(person)
      const { form } = await code(agent.url)
      await post(world, '/oauth/token', { ...form, code_verifier: newPkce().verifier })
      expect((await until(agent.id, has('token', 'pkce_mismatch'))).diagnosis.problem).toBe('pkce_mismatch')
    })

    it('no verifier', async () => {
      const agent = await world.newAgent(person)
      const { form } = await code(agent.url)
      await post(world, '/oauth/token', { ...form, code_verifier: undefined })
      await until(agent.id, has('token', 'pkce_missing'))
    })

    it('another address to return to', async () => {
      const agent = await world.newAgent(person)
      const { form } = await code(agent.url)
      await post(world, '/oauth/token', { ...form, redirect_uri: 'http://127.0.0.1:1/callback' })
      await until(agent.id, has('token', 'redirect_changed'))
    })

    it('a code that was used', async () => {
      const agent = await world.newAgent(person)
      const { form } = await code(agent.url)
      await post(world, '/oauth/token', form)
      await post(world, '/oauth/token', form)
      await until(agent.id, has('token', 'code_used'))
    })

    it('a code that is too old', async () => {
      const agent = await world.newAgent(person)
      const { form } = await code(agent.url)
      await world.db.app.global.$executeRaw`
        UPDATE oauth_artifact SET expires_at = now() - interval '1 second' WHERE model = 'AuthorizationCode' AND consumed_at IS NULL`
      await post(world, '/oauth/token', form)
      await until(agent.id, has('token', 'code_expired'))
    })

    it('another client’s code', async () => {
      const agent = await world.newAgent(person)
      const { form } = await code(agent.url)
      const other = await registerClient(world)
      await post(world, '/oauth/token', { ...form, client_id: other.id })
      await until(agent.id, has('token', 'client_changed'))
    })

    it('a refresh token of a session that was ended, and one that was used before', async () => {
      const agent = await world.newAgent(person)
      const { client, tokens } = await connect(world, person, agent.url)
      const first = tokens.body['refresh_token']
      const second = (await refresh(world, client, first)).body['refresh_token']
      await refresh(world, client, second)
      await refresh(world, client, first)
      await until(agent.id, has('token', 'refresh_used'))

      const other = await world.newAgent(person)
      const held = await connect(world, person, other.url)
      const [session] = await world.sessions.list(person.principal, other.id)
      await world.sessions.revoke(person.principal, session?.id ?? '')
      await refresh(world, held.client, held.tokens.body['refresh_token'])
      const { steps } = await until(other.id, has('token', 'session_ended'))
      expect(steps[0]?.facts).toContainEqual({ label: 'Reason', value: 'revoked' })
    })
  })

  describe('names why a request was refused:', () => {
    const initialize = (version: string) => ({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: version, capabilities: {}, clientInfo: { name: 'Canoe', version: '3' } },
    })
    it.each([
      ['no credential', {}, undefined, 401, 'no_credentials'],
      ['a header that is no bearer', { authorization: 'Basic abc' }, undefined, 401, 'not_a_bearer'],
      [
        'a variable that was not filled in',
        { authorization: 'Bearer ${PORTCULLIS_SESSION_KEY}' },
        undefined,
        401,
        'foreign_token',
      ],
      ['an unknown key', bearer(`pcs_${'a'.repeat(43)}`), undefined, 401, 'token_unknown'],
      ['an unknown access token', bearer(`poa_${'a'.repeat(43)}`), undefined, 401, 'token_unknown'],
      ['a refresh token', bearer(`por_${'a'.repeat(43)}`), undefined, 401, 'refresh_token_as_bearer'],
      ['an API key', bearer(`pck_${'a'.repeat(43)}`), undefined, 401, 'api_key_as_bearer'],
      ['a page of another site', { origin: 'https://evil.example' }, undefined, 403, 'origin_refused'],
      ['another content type', { 'content-type': 'text/plain' }, undefined, 415, 'content_type'],
      ['nothing acceptable', { accept: 'text/html' }, undefined, 406, 'accept'],
      ['a body that is no JSON', {}, '{"jsonrpc":', 400, 'not_json'],
      ['a body that is no request', {}, '{"hello":1}', 400, 'not_a_request'],
      ['a body that is too large', {}, `"${'a'.repeat(5_000_000)}"`, 413, 'too_large'],
      ['a version nobody knows', { 'mcp-protocol-version': '2019-01-01' }, undefined, 400, 'version_unknown'],
      ['an MCP session nobody knows', { 'mcp-session-id': 'nothing' }, undefined, 404, 'mcp_session_unknown'],
    ])('%s', async (name, headers, body, status, problem) => {
      const agent = await world.newAgent(person)
      const { key } = await sessionKey(agent.id)
      const init = status === 401 ? headers : { ...bearer(key), ...headers }
      const response = await mcp(agent.url, { headers: init }, body)
      expect(response.status, name).toBe(status)
      const { steps } = await until(agent.id, has('mcp', problem))
      expect(steps[0]).toMatchObject({ client: 'Desk/1.4', status, words: { title: expect.any(String) as string } })
    })

    it('another host', async () => {
      const agent = await world.newAgent(person)
      const { port, pathname } = new URL(agent.url)
      await new Promise<void>((resolve, reject) => {
        const request = http.request(
          { port, path: pathname, method: 'POST', headers: { host: 'internal.example' } },
          (response) => {
            response.resume().on('end', resolve)
          },
        )
        request.on('error', reject).end('{}')
      })
      const { steps } = await until(agent.id, has('mcp', 'host_refused'))
      expect(steps[0]?.facts).toContainEqual({ label: 'Host', value: 'internal.example' })
    })

    it('a key of another agent, without saying which', async () => {
      const agent = await world.newAgent(person)
      const other = await world.newAgent(person)
      const { key } = await sessionKey(other.id)
      await mcp(agent.url, { headers: bearer(key) })
      const { steps } = await until(agent.id, has('mcp', 'other_agent'))
      expect(JSON.stringify(steps)).not.toContain(other.id)
    })

    it('a session that was revoked, an agent that is disabled', async () => {
      const agent = await world.newAgent(person)
      const { id, key } = await sessionKey(agent.id)
      await world.sessions.revoke(person.principal, id)
      await mcp(agent.url, { headers: bearer(key) })
      await until(agent.id, has('mcp', 'session_ended'))
      const second = await sessionKey(agent.id)
      await world.agents.disable(person.principal, agent.id)
      await mcp(agent.url, { headers: bearer(second.key) })
      await until(agent.id, has('mcp', 'agent_disabled'))
    })

    it('a credential in the address', async () => {
      const agent = await world.newAgent(person)
      await mcp(`${agent.url}?token=abc`)
      await until(agent.id, has('mcp', 'credential_in_url'))
    })

    it('the name and version a client gives of itself, and the version it asked for', async () => {
      const agent = await world.newAgent(person)
      const { key } = await sessionKey(agent.id)
      await mcp(agent.url, { headers: bearer(key) }, initialize('2025-06-18'))
      const { steps } = await until(agent.id, has('mcp', null))
      expect(steps[0]).toMatchObject({ client: 'Canoe 3' })
      expect(steps[0]?.facts).toContainEqual({ label: 'Protocol version', value: '2025-06-18' })
    })

    it('a header that a proxy takes out, when the tokens had just been fetched', async () => {
      const agent = await world.newAgent(person)
      await connect(world, person, agent.url)
      await until(agent.id, has('token', null))
      await mcp(agent.url)
      const { diagnosis } = await until(agent.id, has('mcp', 'no_credentials'))
      expect(diagnosis).toMatchObject({ state: 'failed', problem: 'header_stripped' })
    })
  })

  it('shows the first successful call of a session and not the thousand after it', async () => {
    const agent = await world.newAgent(person)
    const { key } = await sessionKey(agent.id)
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'github_list_issues', arguments: {} } }
    for (let round = 0; round < 20; round += 1) await mcp(agent.url, { headers: bearer(key) }, call)
    await mcp(agent.url, { headers: bearer(key), method: 'GET', body: null })
    const { steps } = await until(agent.id, has('mcp', 'http_method'))
    expect(steps.filter(({ problem }) => problem === null)).toHaveLength(1)
    expect(steps.at(-1)).toMatchObject({ repeats: 0 })
    expect(steps.at(-1)?.facts).toContainEqual({ label: 'Tool', value: 'github_list_issues' })
  })

  it('keeps no secret, whichever field it was sent in', async () => {
    // So many from one network would not all be looked at.
    const mcp: typeof send = (url, init, body) =>
      send(url, { ...init, headers: { ...init?.headers, ...from(newNetwork()) } }, body)
    const agent = await world.newAgent(person)
    const canaries: string[] = []
    const canary = (prefix = '') => {
      const made = prefix + randomBytes(32).toString('base64url')
      canaries.push(made)
      return made
    }
    const { key } = await sessionKey(agent.id)
    canaries.push(key)
    for (const prefix of ['pcs_', 'poa_', 'por_', 'pck_', 'eyJhbGciOi.', ''])
      await mcp(agent.url, { headers: bearer(canary(prefix)) })
    await mcp(agent.url, { headers: { authorization: `Basic ${canary()}` } })
    await mcp(`${agent.url}?access_token=${canary()}`)
    for (const name of [
      'user-agent',
      'accept',
      'mcp-session-id',
      'mcp-protocol-version',
      'origin',
      'content-type',
      'cookie',
    ])
      await mcp(agent.url, { headers: { ...bearer(key), [name]: canary() } })
    await mcp(agent.url, {
      headers: { ...bearer(key), origin: `https://${canary().toLowerCase().slice(0, 60)}.example` },
    })
    await mcp(
      agent.url,
      { headers: bearer(key) },
      { jsonrpc: '2.0', id: canary(), method: canary(), params: { name: canary() } },
    )
    await mcp(
      agent.url,
      { headers: bearer(key) },
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: canary(), clientInfo: { name: canary(), version: canary() }, capabilities: {} },
      },
    )
    const client = await registerClient(world, {
      client_name: canary(),
      redirect_uris: [`http://127.0.0.1:33418/${canary()}`],
      software_statement: undefined,
    })
    const pkce = newPkce()
    canaries.push(pkce.verifier, pkce.challenge)
    for (const field of ['client_id', 'redirect_uri', 'scope', 'state', 'code_challenge', 'prompt', 'resource'])
      await person.browser.go(authorizeUrl(client, pkce, { resource: agent.url, [field]: canary() }), {
        headers: from(newNetwork()),
      })
    await person.browser.go(authorizeUrl(client, pkce, { resource: `${agent.url}/${canary()}?key=${canary()}` }))
    const back = await approve(person.browser, authorizeUrl(client, pkce, { resource: agent.url, state: canary() }))
    const form = {
      grant_type: 'authorization_code',
      code: back.searchParams.get('code') ?? '',
      redirect_uri: client.redirectUri,
      client_id: client.id,
      code_verifier: pkce.verifier,
    }
    canaries.push(form.code)
    for (const field of [
      'grant_type',
      'code',
      'redirect_uri',
      'client_id',
      'code_verifier',
      'client_secret',
      'resource',
    ])
      await post(world, '/oauth/token', { ...form, resource: agent.url, [field]: canary() })
    const { tokens, code, pkce: own } = await connect(world, person, agent.url)
    canaries.push(code, own.verifier, own.challenge)
    canaries.push(String(tokens.body['access_token']), String(tokens.body['refresh_token']))
    await until(agent.id, has('token', null))

    const rows = await world.db.app.tenant(
      person.principal.tenantId,
      (tx) => tx.$queryRaw<unknown[]>`SELECT * FROM doctor_step`,
    )
    const kept = JSON.stringify(rows) + JSON.stringify((await report(agent.id)).steps)
    expect(rows.length).toBeGreaterThan(15)
    expect(canaries.length).toBeGreaterThan(30)
    // Compared without case: a host is kept in small letters.
    for (const secret of canaries)
      for (const part of [secret, secret.slice(0, 24), secret.slice(-24)])
        expect(kept.toLowerCase().includes(part.toLowerCase()), part).toBe(false)
  })

  it('shows the steps of an agent to its workspace alone, and an agent of nobody like a foreign one', async () => {
    const agent = await world.newAgent(person)
    await mcp(agent.url)
    await until(agent.id, has('mcp', 'no_credentials'))
    const stranger = await world.newPerson()
    await expect(report(agent.id, stranger)).rejects.toMatchObject({ code: 'resource.not_found' })
    await expect(report(newId('agent'), stranger)).rejects.toMatchObject({ code: 'resource.not_found' })
    // What asks about an agent that does not exist is nobody's and kept nowhere.
    const before = await world.db.app.tenant(person.principal.tenantId, (tx) => tx.doctorStep.count())
    await mcp(`${world.origin}/mcp/${newId('agent')}`)
    await world.recorder.flush()
    expect(await world.db.app.tenant(person.principal.tenantId, (tx) => tx.doctorStep.count())).toBe(before)
  })

  it('gives a step without an agent to nobody when its network asked about agents of two workspaces', async () => {
    const network = newNetwork()
    const stranger = await world.newPerson()
    const [own, foreign] = [await world.newAgent(person), await world.newAgent(stranger)]
    const register = (name: string) =>
      fetch(`${world.origin}/oauth/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...from(network) },
        body: JSON.stringify({ client_name: name, redirect_uris: ['http://127.0.0.1/cb'] }),
      })
    await mcp(own.url, { headers: from(network) })
    await until(own.id, has('mcp', 'no_credentials'))
    await register('Known')
    await until(own.id, has('registration', null))
    await mcp(foreign.url, { headers: from(network) })
    await vi.waitFor(async () => {
      expect((await report(foreign.id, stranger)).steps).toHaveLength(1)
    })
    // The own agent was asked about last; that alone must not decide.
    await fetch(`${world.origin}/.well-known/oauth-protected-resource/mcp/${own.id}`, { headers: from(network) })
    await until(own.id, has('resource_metadata', null))
    await register('Whose')
    for (let round = 0; round < 5; round += 1) await world.recorder.flush()
    const all = JSON.stringify([await report(own.id), await report(foreign.id, stranger)])
    expect(all).toContain('Known')
    expect(all).not.toContain('Whose')
  })
})

describe('the memory of the doctor', () => {
  let world: OauthWorld
  let person: OauthPerson
  beforeAll(async () => {
    world = await createOauthWorld()
    person = await world.newPerson()
  })
  afterAll(() => world.close())

  const log = createLog('test', 'silent')
  const step = (agentId: string, fields: Partial<Observation> = {}): Observation => ({
    step: 'mcp',
    at: new Date(),
    network: '198.51.100.1',
    client: 'Desk/1',
    status: 401,
    problem: 'no_credentials',
    detail: {},
    agentId: agentId as never, // from our own world
    ...fields,
  })
  const rows = (agentId: string) =>
    world.db.app.tenant(person.principal.tenantId, (tx) =>
      tx.doctorStep.findMany({ where: { agentId }, orderBy: { at: 'desc' } }),
    )

  it('is bounded for each agent: the newest stay', async () => {
    const agent = await world.newAgent(person)
    const start = Date.now() - 600_000
    // Each its own recorder, so that its limits of a minute do not stand in the way of this one.
    for (let group = 0; group < KEPT_STEPS / 20 + 3; group += 1) {
      const recorder = createDoctorRecorder({ appDb: world.db.app, clock: systemClock, log })
      for (let n = 0; n < 20; n += 1)
        recorder.observe(
          step(agent.id, { at: new Date(start + group * 1_000 + n), detail: { method: `m${group}` }, client: `c${n}` }),
        )
      await recorder.close()
    }
    const kept = await rows(agent.id)
    expect(kept).toHaveLength(KEPT_STEPS)
    expect(kept[0]?.at.getTime()).toBe(start + 12 * 1_000 + 19)
  })

  it('counts the same step again, and a flood from one network leaves room for the others', async () => {
    const agent = await world.newAgent(person)
    const recorder = createDoctorRecorder({ appDb: world.db.app, clock: systemClock, log })
    for (let n = 0; n < 50; n += 1) recorder.observe(step(agent.id))
    await recorder.flush()
    for (let n = 0; n < 50; n += 1) recorder.observe(step(agent.id))
    await recorder.flush()
    expect(await rows(agent.id)).toMatchObject([{ repeats: 99 }])
    for (let n = 0; n < 150; n += 1) recorder.observe(step(agent.id, { client: `flood${n}` }))
    recorder.observe(step(agent.id, { network: '198.51.100.2', client: 'bystander' }))
    await recorder.close()
    const kept = await rows(agent.id)
    expect(kept.length).toBeLessThanOrEqual(21)
    expect(kept.map(({ client }) => client)).toContain('bystander')
  })

  it('forgets under pressure instead of growing, and a database that is away fails nobody', async () => {
    const agent = await world.newAgent(person)
    const recorder = createDoctorRecorder({ appDb: world.db.app, clock: systemClock, log })
    for (let n = 0; n < 10_000; n += 1) recorder.observe(step(agent.id, { client: `c${n}` }))
    await recorder.close()
    expect((await rows(agent.id)).length).toBeLessThanOrEqual(60)

    const away = createDoctorRecorder({
      appDb: { ...world.db.app, tenant: () => Promise.reject(new Error('away')) },
      clock: systemClock,
      log,
    })
    away.observe(step(agent.id))
    await expect(away.close()).resolves.toBeUndefined()
  })
})
