import type { GuideOf } from '@/components/clients/guide'

export const chatgpt: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'chatgpt',
  name: 'ChatGPT',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'vendor',
      proof: { kind: 'documented', url: 'https://developers.openai.com/apps-sdk/deploy/connect-chatgpt' },
      steps: [
        { text: 'On chatgpt.com open Settings → Apps → Advanced settings and turn on Developer mode.' },
        {
          text: `Back in Settings → Apps choose Create app. Name it ${serverName}, paste this as MCP server URL, and leave Authentication at OAuth.`,
          snippet: { title: 'MCP server URL', language: 'text', code: mcpUrl },
        },
        { text: 'Choose Create. Your browser opens Portcullis: read what is asked for, and approve.' },
        { text: 'In a chat, choose + → More and tick the app.' },
      ],
    },
  ],
  notes: [
    'On older accounts the menu is called Connectors, and the button Create.',
    'ChatGPT takes no header of your own, so a session key cannot be used there.',
  ],
})
