/**
 * Ready-made configuration for MCP clients. The session key never stands in a snippet: it is read from the environment, so
 * that copying, pasting and committing one leaks nothing.
 *
 * @module
 */
export interface ClientSnippet {
  readonly id: 'claude-code' | 'cursor' | 'mcp-remote' | 'sdk'
  readonly label: string
  /** File or place the text belongs to. */
  readonly title: string
  readonly code: string
  readonly note: string
}

export const sessionKeyVariable = 'PORTCULLIS_SESSION_KEY'

/** A name that every client accepts as a server name, made from the agent's. */
export function serverName(agentName: string): string {
  const slug = agentName
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 32)
    .replace(/-+$/, '')
  return slug === '' ? 'portcullis' : `portcullis-${slug}`
}

export function clientSnippets(mcpUrl: string, agentName: string): readonly ClientSnippet[] {
  const name = serverName(agentName)
  return [
    {
      id: 'claude-code',
      label: 'Claude Code',
      title: 'Terminal',
      code: `claude mcp add --transport http ${name} ${mcpUrl} \\\n  --header "Authorization: Bearer $${sessionKeyVariable}"`,
      note: `Set ${sessionKeyVariable} in the shell first. Claude Code stores the header in its own settings.`,
    },
    {
      id: 'cursor',
      label: 'Cursor',
      title: '~/.cursor/mcp.json',
      code: json({
        mcpServers: { [name]: { url: mcpUrl, headers: { Authorization: `Bearer \${env:${sessionKeyVariable}}` } } },
      }),
      note: `Cursor reads ${sessionKeyVariable} from the environment it was started in.`,
    },
    {
      id: 'mcp-remote',
      label: 'mcp-remote',
      title: 'Any client that starts programs',
      code: json({
        mcpServers: {
          [name]: {
            command: 'npx',
            args: ['-y', 'mcp-remote', mcpUrl, '--header', 'Authorization:${AUTH_HEADER}'],
            env: { AUTH_HEADER: 'Bearer <your session key>' },
          },
        },
      }),
      note: 'Put the session key where it says so. There is no space after “Authorization:” on purpose: some clients split arguments at spaces.',
    },
    {
      id: 'sdk',
      label: 'TypeScript SDK',
      title: 'agent.ts',
      code: `import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const client = new Client({ name: 'my-agent', version: '1.0.0' })
await client.connect(
  new StreamableHTTPClientTransport(new URL('${mcpUrl}'), {
    requestInit: { headers: { Authorization: \`Bearer \${process.env.${sessionKeyVariable}}\` } },
  }),
)
console.log(await client.listTools())`,
      note: 'npm install @modelcontextprotocol/client',
    },
  ]
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2)
}
