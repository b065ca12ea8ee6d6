/**
 * A provider that answers at once: what is measured must not be the provider. Prints its port.
 */
import http from 'node:http'

const ISSUES = Array.from({ length: 3 }, (_, i) => ({
  number: i + 1,
  title: `Issue ${i + 1}`,
  state: 'open',
  html_url: `https://github.com/acme/app/issues/${i + 1}`,
  body: 'Something does not work as it should.',
  user: { login: 'octocat' },
  labels: [{ name: 'bug' }],
  assignees: [],
  comments: 2,
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-02T00:00:00Z',
}))
const body = Buffer.from(JSON.stringify(ISSUES))

const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (request.headers.authorization === undefined) {
    response.writeHead(401, { 'content-type': 'application/json' }).end('{"message":"Bad credentials"}')
    return
  }
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': body.length })
  response.end(body)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.send?.({ port: typeof address === 'object' ? address?.port : undefined })
})
process.on('disconnect', () => process.exit(0))
