/**
 * An agent on the wire: MCP over plain HTTP requests, so that a test says exactly what is sent and sees exactly what comes
 * back.
 *
 * @module
 */
import http from 'node:http'

import type { Answer } from './visitor'

export const VERSION = '2026-07-28'

export interface Agent {
  readonly agentId: string
  readonly sessionKey: string
  /** One request to the agent's URL, with its key unless `headers` say otherwise. */
  post(body: unknown, options?: PostOptions): Promise<Answer>
  /** One tools/call of the current revision. */
  call(name: string, args?: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<ToolAnswer>
  /** The names in tools/list. */
  tools(): Promise<readonly string[]>
}

export interface CallOptions {
  /** Another process of the same installation. */
  readonly port?: number
  readonly signal?: AbortSignal
}

export interface PostOptions extends CallOptions {
  readonly method?: string
  /** Undefined as a value leaves a header out. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** Instead of the agent's own. */
  readonly path?: string
}

export interface ToolAnswer {
  readonly status: number
  readonly isError: boolean
  /** What went wrong on the protocol's own level. */
  readonly code: number | undefined
  readonly text: string
  readonly structured: unknown
  readonly answer: Answer
}

export interface AgentOptions {
  /** The public URL; requests go to its port on this machine. */
  readonly url: string
  readonly agentId: string
  readonly sessionKey: string
  readonly onAnswer?: (answer: Answer) => void
}

export function createAgent({ url, agentId, sessionKey, onAnswer }: AgentOptions): Agent {
  const { host, port } = new URL(url)
  let lastId = 0

  const post: Agent['post'] = async (body, options = {}) => {
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    const headers: Record<string, string | undefined> = {
      host,
      authorization: `Bearer ${sessionKey}`,
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...options.headers,
    }
    const answer = await send(bytes, {
      host: '127.0.0.1',
      port: options.port ?? port,
      path: options.path ?? `/mcp/${agentId}`,
      method: options.method ?? 'POST',
      agent: false,
      headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    onAnswer?.(answer)
    return answer
  }

  return {
    agentId,
    sessionKey,
    post,
    call: async (name, args = {}, options = {}) => {
      lastId += 1
      return read(
        await post(request(lastId, 'tools/call', { name, arguments: args }), {
          ...options,
          headers: named('tools/call', name),
        }),
      )
    },
    tools: async () => {
      const answer = await post(request(0, 'tools/list', {}), { headers: named('tools/list') })
      const { result } = answer.json() as { result: { tools: { name: string }[] } } // the protocol's own shape
      return result.tools.map((tool) => tool.name)
    },
  }
}

/** A request of the current revision, whole. */
export const request = (id: number | string, method: string, params: Readonly<Record<string, unknown>> = {}) => ({
  jsonrpc: '2.0',
  id,
  method,
  params: {
    ...params,
    _meta: {
      'io.modelcontextprotocol/protocolVersion': VERSION,
      'io.modelcontextprotocol/clientInfo': { name: 'portcullis-e2e', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  },
})

/** The headers that repeat what the body says. */
export const named = (method: string, name?: string): Record<string, string | undefined> => ({
  'mcp-protocol-version': VERSION,
  'mcp-method': method,
  'mcp-name': name,
})

interface RpcAnswer {
  readonly result?: {
    readonly isError?: boolean
    readonly content?: { readonly text?: string }[]
    readonly structuredContent?: unknown
  }
  readonly error?: { readonly code: number; readonly message: string }
}

function read(answer: Answer): ToolAnswer {
  const { result, error } = (answer.body.startsWith('{') ? answer.json() : {}) as RpcAnswer // one of the protocol's two shapes
  return {
    status: answer.status,
    isError: answer.status !== 200 || error !== undefined || result?.isError === true,
    code: error?.code,
    text: error?.message ?? result?.content?.map((part) => part.text ?? '').join('\n') ?? answer.body,
    structured: result?.structuredContent,
    answer,
  }
}

function send(
  body: Buffer,
  options: Omit<http.RequestOptions, 'headers'> & { readonly headers: Record<string, string | undefined> },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let answered = false
    const outgoing = http.request({
      ...options,
      headers: { ...options.headers, ...(options.method === 'GET' ? {} : { 'content-length': body.length }) },
    })
    // A refusal may come before the whole body went out, and end the connection.
    outgoing.on('error', (error) => {
      if (!answered) reject(error)
    })
    outgoing.on('response', (response) => {
      answered = true
      const chunks: Buffer[] = []
      const done = () => {
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: text,
          json: () => JSON.parse(text) as unknown,
        })
      }
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', done)
      response.on('error', reject)
    })
    outgoing.end(options.method === 'GET' ? undefined : body)
  })
}
