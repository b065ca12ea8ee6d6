import { sessionKeyVariable, terminal, type GuideOf } from '@/components/clients/guide'

/** Whatever can send a header: scripts, servers, frameworks. */
export const bearer: GuideOf = ({ mcpUrl }) => ({
  id: 'bearer',
  name: 'Anything else',
  ways: [
    {
      kind: 'session_key',
      callsFrom: 'device',
      proof: {
        kind: 'documented',
        url: 'https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http',
      },
      steps: [
        {
          text: `Give your client the URL, the transport Streamable HTTP, and the header Authorization: Bearer followed by the session key. To try it without one, set ${sessionKeyVariable} and send a request yourself:`,
          snippet: terminal(`curl ${mcpUrl} \\
  -H "Authorization: Bearer $${sessionKeyVariable}" \\
  -H 'Content-Type: application/json' \\
  -H 'Accept: application/json, text/event-stream' \\
  -H 'MCP-Protocol-Version: 2025-11-25' \\
  -d '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'`),
        },
      ],
    },
  ],
  notes: [
    'The key goes into the header. In an address it would end in logs and histories, so there it is refused, even beside a good header.',
    'A client that can sign in needs the URL alone: it is answered 401, reads in WWW-Authenticate where to go, and opens a browser.',
  ],
})
