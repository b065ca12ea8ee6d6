import type { GuideOf } from '@/components/clients/guide'

export const claudeAi: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'claude-ai',
  name: 'Claude.ai',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'vendor',
      proof: {
        kind: 'documented',
        url: 'https://support.claude.com/en/articles/11175166-getting-started-with-custom-connectors-using-remote-mcp',
      },
      steps: [
        { text: 'On claude.ai open Settings → Connectors and choose Add custom connector.' },
        {
          text: `Name it ${serverName} and paste this as remote MCP server URL. Leave the client id and secret under Advanced settings empty.`,
          snippet: { title: 'Remote MCP server URL', language: 'text', code: mcpUrl },
        },
        { text: 'Choose Add, then Connect. Your browser opens Portcullis: read what is asked for, and approve.' },
        { text: 'In a chat, choose + → Connectors and turn it on.' },
      ],
    },
  ],
  notes: [
    'On Team and Enterprise plans an owner adds the connector for the organization first; then each person connects.',
    'The mobile apps use what was added here.',
  ],
})
