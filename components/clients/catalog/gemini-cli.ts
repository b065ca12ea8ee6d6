import { json, sessionKeyVariable, terminal, type GuideOf } from '@/components/clients/guide'

const documented = { kind: 'documented', url: 'https://geminicli.com/docs/tools/mcp-server' } as const

export const geminiCli: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'gemini-cli',
  name: 'Gemini CLI',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'device',
      proof: documented,
      steps: [
        {
          text: 'Add the server.',
          snippet: terminal(`gemini mcp add --scope user --transport http ${serverName} ${mcpUrl}`),
        },
        {
          text: `Start gemini and type /mcp auth ${serverName}. Your browser opens Portcullis: read what is asked for, and approve.`,
        },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: documented,
      steps: [
        { text: `Set ${sessionKeyVariable} in the shell that starts gemini.` },
        {
          text: 'Add this. Gemini CLI calls the address httpUrl; url would mean an older transport.',
          snippet: json('~/.gemini/settings.json', {
            mcpServers: {
              [serverName]: { httpUrl: mcpUrl, headers: { Authorization: `Bearer $${sessionKeyVariable}` } },
            },
          }),
        },
      ],
    },
  ],
  notes: [],
})
