/**
 * An organization's issuer: `oidc-provider` itself, over HTTP on loopback, with people who sign in without a page. What
 * its discovery document and its ID tokens say can be bent, to play the issuers that differ and those that lie.
 *
 * @module
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose'
import Provider, { type AdapterPayload, type KoaContextWithOIDC } from 'oidc-provider'

export interface IssuerPerson {
  readonly sub: string
  readonly email?: string
  readonly email_verified?: unknown
  readonly name?: string
  readonly [claim: string]: unknown
}

export interface TestIssuer {
  readonly issuer: string
  readonly origin: string
  readonly clientId: string
  readonly clientSecret: string
  /** Who is at the issuer's keyboard now; null: they refuse. */
  person: IssuerPerson | null
  /** Over what the discovery document says. */
  document: Record<string, unknown>
  /** Over what the ID token says; the token is signed anew with the issuer's own key. */
  claims: Record<string, unknown>
  /** Instead of the issuer's own ID token. */
  idToken: ((claims: Record<string, unknown>) => Promise<string>) | undefined
  /** Over what the userinfo endpoint says. */
  userinfo: Record<string, unknown>
  /** How often its signing keys were asked for. */
  keysAsked: number
  /** Answers of the token endpoint, in order. */
  readonly asked: { readonly path: string; readonly body: string }[]
  /** Signs with another key from now on, and publishes that one alone. */
  rotate(): Promise<void>
  /** Redirect URIs that the client has. */
  register(...redirectUris: string[]): void
  /** Signs claims as the issuer does. */
  sign(
    claims: Record<string, unknown>,
    options?: { readonly key?: CryptoKey | Uint8Array; readonly alg?: string; readonly kid?: string },
  ): Promise<string>
  /** Walks a browser through the issuer. @returns the callback it is sent to */
  walk(authorizationUrl: URL | string): Promise<URL>
  close(): Promise<void>
}

/** The library's own memory speaks up at each start. */
class Memory {
  static readonly rows = new Map<string, AdapterPayload>()
  readonly model: string
  constructor(model: string) {
    this.model = model
  }
  upsert(id: string, payload: AdapterPayload) {
    Memory.rows.set(`${this.model}:${id}`, payload)
    if (payload.uid !== undefined) Memory.rows.set(`${this.model}:uid:${payload.uid}`, payload)
    return Promise.resolve()
  }
  find(id: string) {
    return Promise.resolve(Memory.rows.get(`${this.model}:${id}`))
  }
  findByUid(uid: string) {
    return Promise.resolve(Memory.rows.get(`${this.model}:uid:${uid}`))
  }
  findByUserCode() {
    return Promise.resolve(undefined)
  }
  consume(id: string) {
    const row = Memory.rows.get(`${this.model}:${id}`)
    if (row !== undefined) Object.assign(row, { consumed: 1 })
    return Promise.resolve()
  }
  destroy(id: string) {
    Memory.rows.delete(`${this.model}:${id}`)
    return Promise.resolve()
  }
  revokeByGrantId() {
    return Promise.resolve()
  }
}

export async function startTestIssuer(
  options: { readonly path?: string; readonly accessTokenOnlyEmail?: boolean } = {},
): Promise<TestIssuer> {
  let rotations = 0
  const makeKey = async () => {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    const kid = rotations === 0 ? 'issuer-key' : `issuer-key-${rotations}`
    const jwk: JWK = { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' }
    return { privateKey, kid, jwk }
  }
  let signing = await makeKey()
  const server = http.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // listening on TCP
  const origin = `http://127.0.0.1:${port}`
  const path = options.path ?? ''
  const issuer = `${origin}${path}`
  const base = path.replace(/\/$/, '')
  const redirectUris: string[] = [`${origin}/unused`]
  const clientId = 'portcullis'
  const clientSecret = 'a-client-secret-of-the-issuer-0123456789'

  const make = () =>
    new Provider(issuer, {
      adapter: Memory,
      clients: [
        {
          client_id: clientId,
          client_secret: clientSecret,
          redirect_uris: [...redirectUris],
          grant_types: ['authorization_code'],
          response_types: ['code'],
          token_endpoint_auth_method: 'client_secret_post',
        },
      ],
      jwks: { keys: [signing.jwk] },
      cookies: { keys: ['test'] },
      claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
      conformIdTokenClaims: options.accessTokenOnlyEmail === true,
      pkce: { required: () => true },
      features: { devInteractions: { enabled: false } },
      findAccount: (_: KoaContextWithOIDC, sub: string) => ({
        accountId: sub,
        claims: () => ({ ...self.person, sub }),
      }),
      interactions: {
        url: (_: KoaContextWithOIDC, interaction: { uid: string }) => `${base}/interaction/${interaction.uid}`,
      },
      loadExistingGrant: async (ctx: KoaContextWithOIDC) => {
        const grant = new ctx.oidc.provider.Grant({ accountId: ctx.oidc.session?.accountId ?? '', clientId })
        grant.addOIDCScope('openid email profile')
        await grant.save()
        return grant
      },
      ttl: { AccessToken: 300, IdToken: 300, AuthorizationCode: 60, Session: 300, Grant: 300, Interaction: 300 },
      renderError: (ctx: KoaContextWithOIDC, out: object) => {
        ctx.body = JSON.stringify(out)
      },
    })
  let made: Provider | undefined
  /** Made when it is first needed, with the clients as they are then. */
  const provider = () => (made ??= make())

  async function interact(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const result =
      self.person === null
        ? { error: 'access_denied', error_description: 'the person said no' }
        : { login: { accountId: self.person.sub, remember: false } }
    await provider().interactionFinished(request, response, result, { mergeWithLastSubmission: false })
  }

  /** Lets the issuer answer, then bends the answer. */
  function bend(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    change: (body: Record<string, unknown>) => Promise<Record<string, unknown>>,
  ): void {
    const end = response.end.bind(response)
    const chunks: Buffer[] = []
    response.write = ((chunk: Buffer | string) => chunks.push(Buffer.from(chunk)) > 0) as typeof response.write // the overloads narrow to what is used
    response.end = ((chunk?: Buffer | string) => {
      if (chunk !== undefined) chunks.push(Buffer.from(chunk))
      void (async () => {
        const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
        const bent = Buffer.from(JSON.stringify(await change(body as Record<string, unknown>))) // an object by the protocol
        response.removeHeader('content-length')
        end(bent)
      })()
      return response
    }) as typeof response.end // the overloads narrow to what is used
    void provider().callback()(request, response)
  }

  server.on('request', (request, response) => {
    const url = new URL(request.url ?? '/', origin)
    if (base !== '' && !url.pathname.startsWith(`${base}/`)) {
      response.writeHead(404).end('{}')
      return
    }
    const local = url.pathname.slice(base.length)
    request.url = `${local}${url.search}`
    Object.assign(request, { originalUrl: `${url.pathname}${url.search}`, baseUrl: base })
    if (local.startsWith('/interaction/')) {
      void interact(request, response)
      return
    }
    if (local === '/.well-known/openid-configuration') {
      bend(request, response, (body) => Promise.resolve({ ...body, ...self.document }))
      return
    }
    if (local === '/jwks') self.keysAsked += 1
    if (local === '/me') {
      bend(request, response, (body) => Promise.resolve({ ...body, ...self.userinfo }))
      return
    }
    if (local === '/token') {
      self.asked.push({ path: local, body: '' })
      bend(request, response, async (body) => {
        if (typeof body['id_token'] !== 'string') return body
        const payload: unknown = JSON.parse(Buffer.from(body['id_token'].split('.')[1] ?? '', 'base64url').toString())
        // What is undefined is left out when it is written.
        const claims = { ...(payload as Record<string, unknown>), ...self.claims } // an object by the protocol
        return { ...body, id_token: self.idToken === undefined ? await self.sign(claims) : await self.idToken(claims) }
      })
      return
    }
    void provider().callback()(request, response)
  })

  const self: TestIssuer = {
    issuer,
    origin,
    clientId,
    clientSecret,
    person: { sub: 'someone' },
    document: {},
    claims: {},
    idToken: undefined,
    userinfo: {},
    keysAsked: 0,
    asked: [],
    rotate: async () => {
      rotations += 1
      signing = await makeKey()
      made = undefined
    },
    register: (...uris) => {
      redirectUris.push(...uris)
      made = undefined
    },
    sign: (claims, { key = signing.privateKey, alg = 'RS256', kid = signing.kid } = {}) =>
      new SignJWT(claims).setProtectedHeader({ alg, kid }).sign(key),
    async walk(authorizationUrl) {
      const jar = new Map<string, string>()
      let at = new URL(authorizationUrl)
      for (let hop = 0; hop < 10; hop += 1) {
        if (at.origin !== origin) return at
        const response = await fetch(at, {
          redirect: 'manual',
          headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
        })
        for (const cookie of response.headers.getSetCookie()) {
          const [pair = ''] = cookie.split(';')
          jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
        }
        const location = response.headers.get('location')
        if (location === null)
          throw new Error(`the issuer stays at ${at.pathname}: ${response.status} ${await response.text()}`)
        at = new URL(location, at)
      }
      throw new Error('the issuer redirects for ever')
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return self
}
