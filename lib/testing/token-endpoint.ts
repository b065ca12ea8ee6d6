/**
 * A token endpoint for tests: a real HTTP server, as strict about its refresh tokens as the mode it plays.
 *
 * `static`: one refresh token for ever. `grace`: the token before the newest still answers, with the newest pair.
 * `strict`: a token works once. `family_revoke`: a second use ends the whole grant.
 *
 * @module
 */
import { once, EventEmitter } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { RefreshMode } from '../providers/definition'

/** One account's consent: its tokens, and what was done with them. */
export interface Grant {
  /** The first pair, as a consent would give it. */
  readonly first: { readonly access: string; readonly refresh: string }
  /** The newest access token the endpoint gave out or would have. */
  readonly newest: () => { readonly access: string; readonly refresh: string }
  /** Requests that arrived. */
  readonly calls: () => number
  /** Uses of a refresh token that was spent. */
  readonly reuses: () => number
  /** How long each of its answers takes from now on, once it is decided. */
  delay(ms: number): void
}

/** The endpoint with a grant of its own. What it counts is that grant's, and what belongs to nobody's. */
export interface TokenEndpoint extends Grant {
  readonly url: string
  /** A further grant, counted by itself. */
  grant(): Grant
  /** Answers that reached their requester's socket whole. */
  readonly answered: () => number
  /** Resolves with the next request, after the endpoint decided and before it answers. `release` answers, `drop` cuts. */
  hold(): Promise<Held>
  /** The next request gets this instead, and nothing is decided. */
  reply(status: number, body: string, headers?: Readonly<Record<string, string>>): void
  close(): Promise<void>
}

export interface Held {
  release(): void
  drop(): void
}

export async function createTokenEndpoint(
  mode: RefreshMode,
  options: { readonly expiresIn?: number } = {},
): Promise<TokenEndpoint> {
  const { expiresIn = 3_600 } = options
  const events = new EventEmitter()
  const replies: { status: number; body: string; headers: Readonly<Record<string, string>> }[] = []
  const ledgers = new Map<string, Ledger>()
  let [answered, holds] = [0, 0]
  const makeGrant = (): Ledger => {
    const ledger = createLedger(mode, expiresIn)
    ledgers.set(ledger.name, ledger)
    return ledger
  }
  const own = makeGrant()

  const send = (
    response: ServerResponse,
    status: number,
    body: string,
    headers: Readonly<Record<string, string>> = {},
  ) => {
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close', ...headers })
    response.end(body, () => (answered += 1))
  }

  const server = createServer((request, response) => {
    let form = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (form += chunk))
    request.on('end', () => {
      const presented = new URLSearchParams(form).get('refresh_token')
      const ledger = ledgers.get(presented?.split('-')[1] ?? '') ?? own
      ledger.count()
      const fixed = replies.shift()
      if (fixed !== undefined) {
        send(response, fixed.status, fixed.body, fixed.headers)
        return
      }
      const { status, body } = ledger.decide(presented)
      const answer = () => send(response, status, JSON.stringify(body))
      if (holds === 0) {
        if (ledger.delayMs() === 0) answer()
        else setTimeout(answer, ledger.delayMs())
        return
      }
      holds -= 1
      events.emit('held', { release: answer, drop: () => response.destroy() } satisfies Held)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return {
    ...own,
    url: `http://127.0.0.1:${port}/token`,
    grant: makeGrant,
    answered: () => answered,
    async hold() {
      holds += 1
      const [held] = (await once(events, 'held')) as [Held] // emitted above
      return held
    },
    reply: (status, body, headers = {}) => void replies.push({ status, body, headers }),
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Ledger extends Grant {
  readonly name: string
  delayMs(): number
  count(): void
  decide(presented: string | null): { readonly status: number; readonly body: object }
}

function createLedger(mode: RefreshMode, expiresIn: number): Ledger {
  const name = Math.random().toString(36).slice(2, 10).padEnd(8, '0')
  let [issued, calls, reuses, delayMs] = [1, 0, 0, 0]
  let isRevoked = false
  const access = (n: number) => `at-${name}-${n}`
  const refresh = (n: number) => (mode === 'static' ? `rt-${name}` : `rt-${name}-${n}`)
  return {
    name,
    first: { access: access(1), refresh: refresh(1) },
    newest: () => ({ access: access(issued), refresh: refresh(issued) }),
    calls: () => calls,
    reuses: () => reuses,
    delay: (ms) => void (delayMs = ms),
    delayMs: () => delayMs,
    count: () => void (calls += 1),
    decide(presented) {
      const isNewest = presented === refresh(issued) && !isRevoked
      const isPrevious = presented === refresh(issued - 1) && !isRevoked
      if (!isNewest && !(mode === 'grace' && isPrevious)) {
        reuses += 1
        if (mode === 'family_revoke') isRevoked = true
        return { status: 400, body: { error: 'invalid_grant' } }
      }
      if (isNewest) issued += 1
      const pair = { access_token: access(issued), token_type: 'bearer', expires_in: expiresIn }
      return { status: 200, body: mode === 'static' ? pair : { ...pair, refresh_token: refresh(issued) } }
    },
  }
}
