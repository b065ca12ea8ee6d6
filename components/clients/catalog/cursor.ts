import { json, sessionKeyVariable, type GuideOf } from '@/components/clients/guide'

const documented = { kind: 'documented', url: 'https://cursor.com/docs/context/mcp' } as const

export const cursor: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'cursor',
  name: 'Cursor',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'device',
      proof: documented,
      steps: [
        {
          text: 'Add this, for all your projects, or to .cursor/mcp.json for one.',
          snippet: json('~/.cursor/mcp.json', { mcpServers: { [serverName]: { url: mcpUrl } } }),
        },
        {
          text: `Open Cursor Settings → MCP and choose Login beside ${serverName}. Your browser opens Portcullis: read what is asked for, and approve.`,
        },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: documented,
      steps: [
        { text: `Set ${sessionKeyVariable} in the environment that Cursor is started in.` },
        {
          text: 'Add this, and turn the server off and on again in Cursor Settings → MCP.',
          snippet: json('~/.cursor/mcp.json', {
            mcpServers: {
              [serverName]: { url: mcpUrl, headers: { Authorization: `Bearer \${env:${sessionKeyVariable}}` } },
            },
          }),
        },
      ],
    },
  ],
  notes: ['If Cursor asks you to sign in although a key is set, the variable was empty when Cursor started.'],
})
