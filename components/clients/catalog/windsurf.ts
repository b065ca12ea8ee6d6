import { json, sessionKeyVariable, type GuideOf } from '@/components/clients/guide'

const documented = { kind: 'documented', url: 'https://docs.windsurf.com/windsurf/cascade/mcp' } as const

export const windsurf: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'windsurf',
  name: 'Windsurf',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'device',
      proof: documented,
      steps: [
        {
          text: 'Add this. Windsurf calls the address serverUrl, not url.',
          snippet: json('~/.codeium/windsurf/mcp_config.json', { mcpServers: { [serverName]: { serverUrl: mcpUrl } } }),
        },
        {
          text: 'In Cascade open MCPs and refresh. Your browser opens Portcullis: read what is asked for, and approve.',
        },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: documented,
      steps: [
        { text: `Set ${sessionKeyVariable} in the environment that Windsurf is started in.` },
        {
          text: 'Add this, and refresh under MCPs in Cascade.',
          snippet: json('~/.codeium/windsurf/mcp_config.json', {
            mcpServers: {
              [serverName]: {
                serverUrl: mcpUrl,
                headers: { Authorization: `Bearer \${env:${sessionKeyVariable}}` },
              },
            },
          }),
        },
      ],
    },
  ],
  notes: ['On Enterprise plans MCP has to be turned on in the settings first.'],
})
