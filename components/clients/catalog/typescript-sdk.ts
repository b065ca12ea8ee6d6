import { sessionKeyVariable, type GuideOf } from '@/components/clients/guide'

export const typescriptSdk: GuideOf = ({ mcpUrl }) => ({
  id: 'typescript-sdk',
  name: 'TypeScript SDK',
  ways: [
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: {
        kind: 'run',
        packages: ['@modelcontextprotocol/client@2.4.0', '@modelcontextprotocol/sdk@1.32.2'],
        test: 'e2e/main-job.e2e.ts',
      },
      steps: [
        {
          text: 'Install @modelcontextprotocol/client.',
          snippet: {
            title: 'agent.ts',
            language: 'ts',
            code: `import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const client = new Client({ name: 'my-agent', version: '1.0.0' })
await client.connect(
  new StreamableHTTPClientTransport(new URL('${mcpUrl}'), {
    requestInit: { headers: { Authorization: \`Bearer \${process.env.${sessionKeyVariable}}\` } },
  }),
)
console.log(await client.listTools())`,
          },
        },
      ],
    },
  ],
  notes: [
    'Version 1 works the same; there the package is @modelcontextprotocol/sdk and the imports are its /client/index.js and /client/streamableHttp.js.',
  ],
})
