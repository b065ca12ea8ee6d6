/**
 * Real MCP clients that are given an agent's URL and nothing else. Each finds the authorization server by itself, registers
 * or shows its document, and sends a person to the consent page; what the person's browser does there is the test's part.
 *
 * @module
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

import type { ToolCall } from './clients'
import { cleanEnvironment } from './product'

/** What a browser is to do with the address a client opens: it ends at the client's own page, or the test fails. */
export type Consent = (authorizationUrl: string) => Promise<void>

export interface OauthSession {
  tools(): Promise<readonly string[]>
  call(call: ToolCall): Promise<{ readonly isError: boolean; readonly text: string }>
  /** What it sends as its bearer; undefined where a client keeps that to itself. */
  bearer(): string | undefined
  close(): Promise<void>
}

/** One request of the client that is not a tool's, as `METHOD path → status`. */
export type Step = string

export interface Connecting {
  readonly mcpUrl: string
  readonly consent: Consent
  /** Told of each request; not every client can be listened to. */
  readonly onStep?: (step: Step) => void
  /** Where the client's metadata document lies; it registers itself when absent. */
  readonly metadataUrl?: string
}

/** @returns a session that is connected. Rejects with what the client says when the person refuses. */
export type OauthClient = (connecting: Connecting) => Promise<OauthSession>

const identity = { name: 'portcullis-e2e', version: '1' }

/** The client's own page that a consent comes back to. */
export interface Callback {
  readonly url: string
  /** The query of the next visit. */
  next(): Promise<URLSearchParams>
  close(): void
}

export async function startCallback(): Promise<Callback> {
  const waiting: ((query: URLSearchParams) => void)[] = []
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    if (url.pathname !== '/callback') {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/html' }).end('<title>Done</title><p>You can close this page.</p>')
    waiting.shift()?.(url.searchParams)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // it listens on a port
  return {
    url: `http://127.0.0.1:${port}/callback`,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

interface Kept {
  client?: unknown
  tokens?: unknown
  discovery?: unknown
  verifier?: string
  state?: string
  readonly opened: string[]
}

const bearerOf = ({ tokens }: Kept) => (tokens as { access_token?: string } | undefined)?.access_token // RFC 6749 §5.1

/** What the SDKs ask of an application: somewhere to keep things, and a browser. */
function createStore(callback: Callback, connecting: Connecting) {
  const kept: Kept = { opened: [] }
  const provider = {
    redirectUrl: callback.url,
    ...(connecting.metadataUrl === undefined ? {} : { clientMetadataUrl: connecting.metadataUrl }),
    clientMetadata: {
      client_name: 'Harbour desk',
      redirect_uris: [callback.url],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    state: () => (kept.state = randomBytes(16).toString('base64url')),
    clientInformation: () => kept.client as undefined, // whatever the SDK gave to keep
    saveClientInformation: (client: unknown) => {
      kept.client = client
    },
    tokens: () => kept.tokens as undefined, // as above
    saveTokens: (tokens: unknown) => {
      kept.tokens = tokens
    },
    redirectToAuthorization: (url: URL) => {
      kept.opened.push(url.href)
    },
    saveCodeVerifier: (verifier: string) => {
      kept.verifier = verifier
    },
    codeVerifier: () => kept.verifier ?? '',
    saveDiscoveryState: (state: unknown) => {
      kept.discovery = state
    },
    discoveryState: () => kept.discovery as undefined, // as above
  }
  return { kept, provider }
}

function listening(onStep: Connecting['onStep']): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    const url = new URL(input instanceof Request ? input.url : input)
    onStep?.(`${init?.method ?? 'GET'} ${url.pathname} → ${response.status}`)
    return response
  }
}

interface Connectable {
  connect(): Promise<OauthSession>
  finishAuth(query: URLSearchParams): Promise<void>
  close(): Promise<void>
}

/** Connects, is sent away, has a person asked, and connects again. */
async function authorize(
  connecting: Connecting,
  open: (store: ReturnType<typeof createStore>) => Connectable,
): Promise<OauthSession> {
  const callback = await startCallback()
  try {
    const store = createStore(callback, connecting)
    const first = open(store)
    const refused = await first.connect().then(
      () => undefined,
      (error: unknown) => error,
    )
    const url = store.kept.opened[0]
    if (url === undefined) throw new Error('the client opened no browser', { cause: refused })
    const back = callback.next()
    await connecting.consent(url)
    const query = await back
    if (query.get('state') !== store.kept.state) throw new Error('the answer is for another request')
    const error = query.get('error')
    if (error !== null) throw new Error(`${error}: ${query.get('error_description') ?? ''}`)
    await first.finishAuth(query)
    await first.close()
    return await open(store).connect()
  } finally {
    callback.close()
  }
}

const said = (result: unknown) => {
  const { isError, content } = result as { isError?: boolean; content?: unknown } // a tool's result
  return { isError: isError === true, text: JSON.stringify(content ?? []) }
}

/** `@modelcontextprotocol/client` 2.4. @param pin  a revision to insist on; the revisions before 2026 when absent */
export function sdk2(pin?: string): OauthClient {
  return (connecting) =>
    authorize(connecting, ({ kept, provider }) => {
      const transport = new StreamableHTTPClientTransport(new URL(connecting.mcpUrl), {
        authProvider: provider,
        fetch: listening(connecting.onStep),
      })
      const client = new Client(identity, {
        versionNegotiation: pin === undefined ? { mode: 'legacy' } : { mode: { pin } },
      })
      return {
        finishAuth: (query) => transport.finishAuth(query),
        close: () => transport.close(),
        async connect() {
          await client.connect(transport)
          return {
            tools: async () => (await client.listTools()).tools.map(({ name }) => name),
            call: async (call) => said(await client.callTool(call)),
            bearer: () => bearerOf(kept),
            close: () => client.close(),
          }
        },
      }
    })
}

/** `@modelcontextprotocol/sdk` 1.32, which most of what is installed today is made with. */
export const sdk1: OauthClient = (connecting) =>
  authorize(connecting, ({ kept, provider }) => {
    const transport = new Transport1(new URL(connecting.mcpUrl), {
      authProvider: provider,
      fetch: listening(connecting.onStep),
    })
    const client = new Client1(identity)
    return {
      finishAuth: (query) => transport.finishAuth(query.get('code') ?? ''),
      close: () => transport.close(),
      async connect() {
        await client.connect(transport)
        return {
          tools: async () => (await client.listTools()).tools.map(({ name }) => name),
          call: async (call) => said(await client.callTool(call)),
          bearer: () => bearerOf(kept),
          close: () => client.close(),
        }
      },
    }
  })

/** `mcp-remote` 0.15 as a desktop application starts it: a child on stdio that says which page to open. */
export const mcpRemote: OauthClient = async ({ mcpUrl, consent }) => {
  const entry = path.join(
    path.dirname(createRequire(import.meta.url).resolve('mcp-remote/package.json')),
    'dist',
    'proxy.js',
  )
  const home = mkdtempSync(path.join(tmpdir(), 'mcp-remote-'))
  const child = spawn(process.execPath, [entry, mcpUrl, '--allow-http'], {
    // No browser of this machine: the page is opened by the test.
    env: { ...cleanEnvironment(), BROWSER: '/bin/true', MCP_REMOTE_CONFIG_DIR: home },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const rpc = speak(child)
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  // With everything it had to say.
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('close', (code) => reject(new Error(`mcp-remote ended with ${code}: ${errors}`)))
  })
  ended.catch(() => {}) // it ends in any case
  const close = async () => {
    const gone = child.exitCode === null ? new Promise((resolve) => child.once('exit', resolve)) : undefined
    child.kill()
    await gone
    rmSync(home, { recursive: true, force: true })
  }
  /** @returns what matches, once it was said */
  const hear = (pattern: RegExp) =>
    new Promise<string>((resolve) => {
      const look = () => {
        const found = pattern.exec(errors)?.[0]
        if (found !== undefined) resolve(found.trim())
      }
      look()
      child.stderr.on('data', look)
    })
  try {
    const ready = rpc
      .ask('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: identity })
      .catch(() => ended)
    ready.catch(() => {}) // awaited below, after the consent
    await consent(await Promise.race([hear(/^http\S+\/oauth\/authorize\?\S+\s/m), ended]))
    await Promise.race([
      ready,
      hear(/Authorization failed: .*\n/).then((said) => {
        throw new Error(said)
      }),
    ])
    rpc.tell('notifications/initialized')
    return {
      tools: async () =>
        ((await rpc.ask('tools/list', {})) as { tools: { name: string }[] }).tools.map(({ name }) => name), // MCP's own shape
      call: async (call) => said(await rpc.ask('tools/call', call)),
      bearer: () => undefined,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** JSON-RPC by lines with a child. */
function speak(child: ChildProcess) {
  if (child.stdout === null || child.stdin === null) throw new Error('the child has no pipes')
  const { stdin } = child
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as { id?: number; result?: unknown; error?: { message: string } } // JSON-RPC from the child
    const waiter = message.id === undefined ? undefined : waiting.get(message.id)
    if (message.result === undefined) waiter?.reject(new Error(message.error?.message ?? 'no result'))
    else waiter?.resolve(message.result)
  })
  child.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the child ended with ${code}`))
  })
  let id = 0
  return {
    ask: (method: string, params: object) =>
      new Promise<unknown>((resolve, reject) => {
        id += 1
        waiting.set(id, { resolve, reject })
        stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
      }),
    tell: (method: string) => stdin.write(`${JSON.stringify({ jsonrpc: '2.0', method })}\n`),
  }
}

/** A host that publishes a client's metadata document, over TLS with a certificate of its own. */
export interface DocumentHost {
  readonly host: string
  readonly clientId: string
  /** How often the document was fetched. */
  fetched(): number
  /** What the product needs to be able to reach it. */
  readonly environment: Readonly<Record<string, string>>
  close(): void
}

export async function startDocumentHost(): Promise<DocumentHost> {
  const folder = mkdtempSync(path.join(tmpdir(), 'portcullis-document-'))
  const [key, certificate] = [path.join(folder, 'key.pem'), path.join(folder, 'certificate.pem')]
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate],
    { stdio: 'ignore' },
  ) // prettier-ignore
  let count = 0
  const server = https.createServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    (request, response) => {
      if (request.url !== '/client.json') {
        response.writeHead(404).end()
        return
      }
      count += 1
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=600' })
      response.end(
        JSON.stringify({
          client_id: `https://${request.headers.host ?? ''}/client.json`,
          client_name: 'Harbour desk, published',
          // Without a port, as desktop applications publish it: it is another one each time.
          redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
          token_endpoint_auth_method: 'none',
        }),
      )
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // it listens on a port
  const host = `localhost:${port}`
  return {
    host,
    clientId: `https://${host}/client.json`,
    fetched: () => count,
    environment: {
      EGRESS_ALLOW: `https://${host}`,
      EGRESS_ALLOW_UNSAFE: '1',
      NODE_EXTRA_CA_CERTS: certificate,
    },
    close: () => {
      server.closeAllConnections()
      server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
