import { sessionKeyVariable, terminal, type GuideOf } from '@/components/clients/guide'

const documented = { kind: 'documented', url: 'https://developers.openai.com/codex/mcp' } as const

export const codex: GuideOf = ({ mcpUrl, serverName }) => ({
  id: 'codex',
  name: 'Codex',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'device',
      proof: documented,
      steps: [
        {
          text: 'Add the server and sign in. Your browser opens Portcullis: read what is asked for, and approve.',
          snippet: terminal(`codex mcp add ${serverName} --url ${mcpUrl}\ncodex mcp login ${serverName}`),
        },
        { text: 'Start codex and type /mcp to see the tools.' },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: documented,
      steps: [
        { text: `Set ${sessionKeyVariable} in the shell that starts codex.` },
        {
          text: 'Add this. The file names the variable; the key itself does not stand in it.',
          snippet: {
            title: '~/.codex/config.toml',
            language: 'toml',
            code: `[mcp_servers.${serverName}]\nurl = "${mcpUrl}"\nbearer_token_env_var = "${sessionKeyVariable}"`,
          },
        },
      ],
    },
  ],
  notes: ['The editor extension reads the same file.'],
})
