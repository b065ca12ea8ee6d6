import { json, terminal, type GuideOf } from '@/components/clients/guide'

const documented = {
  kind: 'documented',
  url: 'https://code.visualstudio.com/docs/copilot/reference/mcp-configuration',
} as const
const INPUT = 'portcullis-session-key'

export const vsCode: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'vs-code',
  name: 'VS Code',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'device',
      proof: documented,
      steps: [
        {
          text: 'Add the server to your profile.',
          snippet: terminal(`code --add-mcp '${JSON.stringify({ name: serverName, type: 'http', url: mcpUrl })}'`),
        },
        {
          text: `Run MCP: List Servers from the command palette, choose ${serverName} and Start Server. Allow the sign-in; your browser opens Portcullis: read what is asked for, and approve.`,
        },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: documented,
      steps: [
        {
          text: 'Put this into the project’s folder. VS Code asks for the key at the first start and keeps it in its secret storage.',
          snippet: json('.vscode/mcp.json', {
            inputs: [{ type: 'promptString', id: INPUT, description: `Session key for ${serverName}`, password: true }],
            servers: {
              [serverName]: {
                type: 'http',
                url: mcpUrl,
                headers: { Authorization: `Bearer \${input:${INPUT}}` },
              },
            },
          }),
        },
      ],
    },
  ],
  notes: ['In chat, tools are there in Agent mode. A request takes at most 128 tools, those of all servers together.'],
})
