import { mcpRemoteServer } from '@/components/clients/catalog/mcp-remote'
import { json, type GuideOf } from '@/components/clients/guide'

export const claudeDesktop: GuideOf = (target) => ({
  id: 'claude-desktop',
  name: 'Claude Desktop',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'vendor',
      proof: {
        kind: 'documented',
        url: 'https://support.claude.com/en/articles/11175166-getting-started-with-custom-connectors-using-remote-mcp',
      },
      steps: [
        { text: 'Open Settings → Connectors and choose Add custom connector.' },
        {
          text: `Name it ${target.serverName} and paste this as remote MCP server URL.`,
          snippet: { title: 'Remote MCP server URL', language: 'text', code: target.mcpUrl },
        },
        { text: 'Choose Add, then Connect. Your browser opens Portcullis: read what is asked for, and approve.' },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: {
        kind: 'documented',
        url: 'https://modelcontextprotocol.io/docs/develop/connect-local-servers',
      },
      steps: [
        { text: 'Open Settings → Developer → Edit Config, and add this to the file it shows. It needs Node.js.' },
        {
          text: 'Put the session key where it says so, save, and start Claude Desktop again.',
          snippet: json('claude_desktop_config.json', {
            mcpServers: { [target.serverName]: mcpRemoteServer(target) },
          }),
        },
      ],
    },
  ],
  notes: [
    'Connectors run in your Claude account, not on this computer: they cannot reach an address of your own network. The file is read on this computer.',
  ],
})
