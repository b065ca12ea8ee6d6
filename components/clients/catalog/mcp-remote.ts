import { json, type ClientTarget, type GuideOf } from '@/components/clients/guide'

/** Plain http is for this machine alone, and mcp-remote wants that said. */
function args({ mcpUrl }: ClientTarget): string[] {
  return ['-y', 'mcp-remote', mcpUrl, ...(mcpUrl.startsWith('http:') ? ['--allow-http'] : [])]
}

/** As a client that starts programs is told of it. */
export function mcpRemoteServer(target: ClientTarget) {
  return {
    command: 'npx',
    args: [...args(target), '--header', 'Authorization:${AUTH_HEADER}'],
    env: { AUTH_HEADER: 'Bearer <your session key>' },
  }
}

export const mcpRemote: GuideOf = (target) => ({
  id: 'mcp-remote',
  name: 'mcp-remote',
  ways: [
    {
      kind: 'sign_in',
      callsFrom: 'device',
      proof: { kind: 'run', packages: ['mcp-remote@0.15.1'], test: 'e2e/oauth.e2e.ts' },
      steps: [
        {
          text: 'For a client that can only start programs, add this to its settings. It needs Node.js.',
          snippet: json('Settings of your client', {
            mcpServers: { [target.serverName]: { command: 'npx', args: args(target) } },
          }),
        },
        { text: 'At the first start your browser opens Portcullis: read what is asked for, and approve.' },
      ],
    },
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: { kind: 'run', packages: ['mcp-remote@0.15.1'], test: 'e2e/main-job.e2e.ts' },
      steps: [
        {
          text: 'Add this, and put the session key where it says so. There is no space after “Authorization:” on purpose: some clients split arguments at spaces.',
          snippet: json('Settings of your client', { mcpServers: { [target.serverName]: mcpRemoteServer(target) } }),
        },
      ],
    },
  ],
  notes: ['mcp-remote keeps what it got when you signed in below ~/.mcp-auth.'],
})
