/**
 * Sessions of the revisions that have them: what a client declared when it began, its stream, its calls under way.
 *
 * A session is memory of one gateway and routing, never authority: the bearer is checked with every request, and a session
 * answers only to the agent session that began it. Its id is sealed and names its gateway, so that another gateway knows
 * where to pass a request on, and a gateway that is gone is known to be gone (`404`: the client begins anew).
 *
 * @see MCP 2025-11-25, Streamable HTTP, "Session Management"
 * @module
 */
import { randomBytes } from 'node:crypto'

import type { Clock } from '../clock'
import type { AgentPrincipal } from '../tenancy/principal'
import { createEventStream, type EventStream } from './event-stream'
import type { McpSeals } from './sealed'

export interface McpSession {
  /** What the client sends as `Mcp-Session-Id`. */
  readonly id: string
  readonly version: string
  readonly canOpenUrls: boolean
  /** Calls under way by the JSON of their request id; aborted by `notifications/cancelled`. */
  readonly running: Map<string, AbortController>
  /** The stream that carries notices; opened by GET. */
  readonly notices: EventStream
  /** Streams of single requests that a client may come back to. */
  stream(number: number): EventStream | undefined
  newStream(): EventStream
  /** Closes the connection of the notices and ends what watches for them. Set while one is open. */
  unwatch: (() => void) | undefined
  close(): void
}

export type Found =
  | { readonly kind: 'here'; readonly session: McpSession }
  /** Held by another gateway. */
  | { readonly kind: 'elsewhere'; readonly instanceId: string }
  | { readonly kind: 'none' }

export interface McpSessions {
  begin(
    principal: AgentPrincipal,
    facts: { readonly version: string; readonly canOpenUrls: boolean },
  ): Promise<McpSession>
  find(principal: AgentPrincipal, id: string): Promise<Found>
  end(session: McpSession): void
  /** Ends every session and stream. */
  close(): void
}

interface Held {
  readonly session: McpSession
  readonly agentSessionId: string
  usedAt: number
}

const MAX_SESSIONS = 20_000
const MAX_PER_AGENT_SESSION = 100
const MAX_STREAMS = 16
const IDLE_MS = 24 * 3_600_000
export const SESSION_MAX_AGE_MS = 30 * IDLE_MS

export function createMcpSessions(deps: {
  readonly instanceId: string
  readonly seals: McpSeals
  readonly clock: Clock
}): McpSessions {
  const { instanceId, seals, clock } = deps
  // In the order of last use.
  const held = new Map<string, Held>()
  const perAgentSession = new Map<string, number>()

  const drop = (name: string) => {
    const entry = held.get(name)
    if (entry === undefined) return
    held.delete(name)
    const left = (perAgentSession.get(entry.agentSessionId) ?? 1) - 1
    if (left === 0) perAgentSession.delete(entry.agentSessionId)
    else perAgentSession.set(entry.agentSessionId, left)
    const { session } = entry
    session.close()
  }
  const makeRoom = (agentSessionId: string) => {
    const now = clock.now().getTime()
    for (const [name, { usedAt }] of held) {
      if (usedAt > now - IDLE_MS && held.size < MAX_SESSIONS) break
      drop(name)
    }
    if ((perAgentSession.get(agentSessionId) ?? 0) < MAX_PER_AGENT_SESSION) return
    for (const [name, entry] of held)
      if (entry.agentSessionId === agentSessionId) {
        drop(name)
        return
      }
  }
  const boundTo = ({ agentId, agentSessionId }: AgentPrincipal) => `${agentId} ${agentSessionId}`

  return {
    async begin(principal, { version, canOpenUrls }) {
      const name = randomBytes(18).toString('base64url')
      const id = await seals.seal(principal.tenantId, 'session', boundTo(principal), { name, instanceId })
      makeRoom(principal.agentSessionId)
      const session = newSession(id, version, canOpenUrls)
      held.set(name, { session, agentSessionId: principal.agentSessionId, usedAt: clock.now().getTime() })
      perAgentSession.set(principal.agentSessionId, (perAgentSession.get(principal.agentSessionId) ?? 0) + 1)
      return session
    },
    async find(principal, id) {
      const content = await seals.open(principal.tenantId, 'session', boundTo(principal), id)
      if (content === undefined) return { kind: 'none' }
      const { name, instanceId: owner } = content as { readonly name: string; readonly instanceId: string } // what `begin` sealed
      if (owner !== instanceId) return { kind: 'elsewhere', instanceId: owner }
      const entry = held.get(name)
      if (entry === undefined || entry.agentSessionId !== principal.agentSessionId) return { kind: 'none' }
      held.delete(name)
      held.set(name, entry)
      entry.usedAt = clock.now().getTime()
      return { kind: 'here', session: entry.session }
    },
    end(session) {
      for (const [name, entry] of held) if (entry.session === session) drop(name)
    },
    close() {
      for (const name of [...held.keys()]) drop(name)
    },
  }
}

function newSession(id: string, version: string, canOpenUrls: boolean): McpSession {
  const streams = new Map<number, EventStream>()
  let made = 0
  const session: McpSession = {
    id,
    version,
    canOpenUrls,
    running: new Map(),
    notices: createEventStream({ number: 0 }),
    unwatch: undefined,
    close() {
      session.unwatch?.()
      session.notices.end()
      for (const controller of session.running.values()) controller.abort()
      for (const stream of streams.values()) stream.end()
    },
    stream: (number) => (number === 0 ? undefined : streams.get(number)),
    newStream() {
      made += 1
      const stream = createEventStream({ number: made })
      streams.set(made, stream)
      // The oldest that has ended makes room; while all are under way the calls of an agent are bounded elsewhere.
      for (const [number, { isDone }] of streams) {
        if (streams.size <= MAX_STREAMS) break
        if (isDone) streams.delete(number)
      }
      return stream
    },
  }
  return session
}
