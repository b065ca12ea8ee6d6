/**
 * Real MCP clients, each calling a tool through the product with a session key in the Authorization header.
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

import { createMCPClient } from '@ai-sdk/mcp'
import { MultiServerMCPClient } from '@langchain/mcp-adapters'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { z } from 'zod'

import { cleanEnvironment } from './product'

export interface AgentAccess {
  readonly mcpUrl: string
  readonly sessionKey: string
}

export interface ToolCall {
  readonly name: string
  readonly arguments: Record<string, unknown>
}

export interface ClientRun {
  readonly tools: readonly string[]
  /** The structured result of each call, in order. */
  readonly results: readonly { readonly isError: boolean; readonly structured: unknown; readonly text: string }[]
}

/** How a client is driven; every one lists the tools and then makes the calls. */
export type ClientDriver = (access: AgentAccess, calls: readonly ToolCall[]) => Promise<ClientRun>

const toolResult = z.looseObject({
  isError: z.boolean().optional(),
  structuredContent: z.unknown().optional(),
  content: z.unknown().optional(),
})

function seen(answer: unknown): ClientRun['results'][number] {
  const result = toolResult.parse(answer)
  return {
    isError: result.isError === true,
    structured: result.structuredContent,
    text: JSON.stringify(result.content ?? []),
  }
}
const headers = ({ sessionKey }: AgentAccess) => ({
  requestInit: { headers: { authorization: `Bearer ${sessionKey}` } },
})
const identity = { name: 'portcullis-e2e', version: '1' }

/** @param pin  a protocol revision to insist on; the client's own choice when absent */
export function sdk2(pin?: string): ClientDriver {
  return async (access, calls) => {
    const client = new Client(identity, {
      versionNegotiation: pin === undefined ? { mode: 'legacy' } : { mode: { pin } },
    })
    await client.connect(new StreamableHTTPClientTransport(new URL(access.mcpUrl), headers(access)))
    try {
      const { tools } = await client.listTools()
      const results = []
      for (const call of calls) results.push(seen(await client.callTool(call)))
      return { tools: tools.map(({ name }) => name), results }
    } finally {
      await client.close()
    }
  }
}

export const sdk1: ClientDriver = async (access, calls) => {
  const client = new Client1(identity)
  await client.connect(new Transport1(new URL(access.mcpUrl), headers(access)))
  try {
    const { tools } = await client.listTools()
    const results = []
    for (const call of calls) results.push(seen(await client.callTool(call)))
    return { tools: tools.map(({ name }) => name), results }
  } finally {
    await client.close()
  }
}

/** The Vercel AI SDK: its tools are functions that a model would call. */
export const aiSdk: ClientDriver = async (access, calls) => {
  const client = await createMCPClient({
    transport: { type: 'http', url: access.mcpUrl, headers: { authorization: `Bearer ${access.sessionKey}` } },
  })
  try {
    const tools = await client.tools()
    const results = []
    for (const call of calls) {
      const tool = tools[call.name]
      if (tool === undefined) throw new Error(`${call.name} is not listed`)
      results.push(seen(await tool.execute(call.arguments, { toolCallId: call.name, messages: [] })))
    }
    return { tools: Object.keys(tools), results }
  } finally {
    await client.close()
  }
}

const langchainResult = z.looseObject({ text: z.string(), structuredContent: z.unknown() })

/** LangChain: a tool gives the model its one block of content, and throws what went wrong. */
export const langchain: ClientDriver = async (access, calls) => {
  const client = new MultiServerMCPClient({
    mcpServers: {
      portcullis: {
        transport: 'http',
        url: access.mcpUrl,
        headers: { authorization: `Bearer ${access.sessionKey}` },
        automaticSSEFallback: false,
      },
    },
    useStandardContentBlocks: false,
  })
  try {
    const tools = await client.getTools()
    const results = []
    for (const call of calls) {
      const tool = tools.find(({ name }) => name === call.name)
      if (tool === undefined) throw new Error(`${call.name} is not listed`)
      const { text, structuredContent } = langchainResult.parse(await tool.invoke(call.arguments))
      results.push({ isError: false, structured: structuredContent, text })
    }
    return { tools: tools.map(({ name }) => name), results }
  } finally {
    await client.close()
  }
}

interface RpcResult {
  readonly tools?: readonly { readonly name: string }[]
}

/** `mcp-remote` as an agent's host starts it: a child speaking JSON lines on stdio. */
export const mcpRemote: ClientDriver = async (access, calls) => {
  const entry = path.join(
    path.dirname(createRequire(import.meta.url).resolve('mcp-remote/package.json')),
    'dist',
    'proxy.js',
  )
  const home = mkdtempSync(path.join(tmpdir(), 'mcp-remote-'))
  const child = spawn(process.execPath, [entry, access.mcpUrl, '--allow-http', '--header', 'Authorization:${AUTH}'], {
    env: { ...cleanEnvironment(), AUTH: `Bearer ${access.sessionKey}`, MCP_REMOTE_CONFIG_DIR: home },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const waiting = new Map<number, { resolve: (value: RpcResult) => void; reject: (error: Error) => void }>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as { id?: number; result?: RpcResult; error?: { message: string } } // JSON-RPC from the child
    const waiter = message.id === undefined ? undefined : waiting.get(message.id)
    if (waiter === undefined) return
    if (message.result === undefined) waiter.reject(new Error(message.error?.message ?? 'no result'))
    else waiter.resolve(message.result)
  })
  child.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`mcp-remote ended with ${code}: ${errors}`))
  })
  let id = 0
  const ask = (method: string, params: object) =>
    new Promise<RpcResult>((resolve, reject) => {
      id += 1
      waiting.set(id, { resolve, reject })
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
    })
  try {
    await ask('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: identity })
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`)
    const { tools = [] } = await ask('tools/list', {})
    const results = []
    for (const call of calls) results.push(seen(await ask('tools/call', call)))
    return { tools: tools.map(({ name }) => name), results }
  } finally {
    child.kill()
    rmSync(home, { recursive: true, force: true })
  }
}
