import { json, sessionKeyVariable, terminal, type GuideOf } from '@/components/clients/guide'

const documented = { kind: 'documented', url: 'https://code.claude.com/docs/en/mcp' } as const

export const claudeCode: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'claude-code',
  name: 'Claude Code',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'device',
      proof: documented,
      steps: [
        { text: 'Add the server.', snippet: terminal(`claude mcp add --transport http ${serverName} ${mcpUrl}`) },
        {
          text: `Start claude, type /mcp, choose ${serverName} and Authenticate. Your browser opens Portcullis: read what is asked for, and approve.`,
        },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: documented,
      steps: [
        { text: `Set ${sessionKeyVariable} in the shell that starts claude.` },
        {
          text: 'Put this into the project’s folder. The variable is read at every start and never stored.',
          snippet: json('.mcp.json', {
            mcpServers: {
              [serverName]: {
                type: 'http',
                url: mcpUrl,
                headers: { Authorization: `Bearer \${${sessionKeyVariable}}` },
              },
            },
          }),
        },
      ],
    },
  ],
  notes: ['With --scope user the server is there in all your projects.'],
})
