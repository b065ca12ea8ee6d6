/**
 * Streams that stay open: notices of a session (GET, revisions of 2025) and subscriptions (`subscriptions/listen`, 2026).
 *
 * A stream ends when the access does, at most five seconds later, and when the token that opened it expires; a client that
 * still has access opens another. Their number is bounded, for each agent session and for the process.
 *
 * @see MCP 2026-07-28, "Subscriptions"
 * @module
 */
import type { ServerResponse } from 'node:http'

import type { AgentPrincipal } from '../tenancy/principal'
import { createEventStream } from './event-stream'
import type { McpSession } from './sessions'
import type { AgentWatch } from './watch'

export interface StreamLimits {
  readonly perAgentSession: number
  readonly perProcess: number
}

export interface Streams {
  /** Opens the notices of a session, after the event the client had last. @returns false when there is no room */
  openNotices(
    session: McpSession,
    principal: AgentPrincipal,
    until: Date,
    response: ServerResponse,
    afterEvent: number | undefined,
    onEnded: () => void,
  ): Promise<boolean>
  /** Opens a subscription. @returns false when there is no room */
  openSubscription(
    subscription: { readonly id: string | number; readonly toolsListChanged: boolean },
    principal: AgentPrincipal,
    until: Date,
    response: ServerResponse,
  ): Promise<boolean>
  /** Ends them all, each as its revision says. */
  close(): void
}

export const STREAM_LIMITS: StreamLimits = { perAgentSession: 32, perProcess: 8_000 }
const MAX_OPEN_MS = 24 * 3_600_000
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId'

export function createStreams(deps: { readonly watch: AgentWatch; readonly limits?: StreamLimits }): Streams {
  const { watch, limits = STREAM_LIMITS } = deps
  const open = new Set<() => void>()
  const perAgentSession = new Map<string, number>()

  /** @returns what gives the place back, undefined when there is none */
  const enter = ({ agentSessionId }: AgentPrincipal): (() => void) | undefined => {
    const count = perAgentSession.get(agentSessionId) ?? 0
    if (open.size >= limits.perProcess || count >= limits.perAgentSession) return undefined
    perAgentSession.set(agentSessionId, count + 1)
    let isIn = true
    return () => {
      if (!isIn) return
      isIn = false
      const left = (perAgentSession.get(agentSessionId) ?? 1) - 1
      if (left === 0) perAgentSession.delete(agentSessionId)
      else perAgentSession.set(agentSessionId, left)
    }
  }
  const timeLeft = (until: Date) => Math.min(Math.max(until.getTime() - Date.now(), 0), MAX_OPEN_MS)

  return {
    async openNotices(session, principal, until, response, afterEvent, onEnded) {
      session.unwatch?.() // a second stream takes the place of the first
      const leave = enter(principal)
      if (leave === undefined) return false
      const close = () => {
        session.notices.pause()
        gone()
      }
      const gone = () => {
        open.delete(close)
        clearTimeout(timer)
        stop()
        leave()
        if (session.unwatch === close) session.unwatch = undefined
      }
      const timer = setTimeout(() => {
        close()
      }, timeLeft(until)).unref()
      let stop: () => void = () => undefined
      open.add(close)
      session.unwatch = close
      try {
        stop = await watch.watch(principal, {
          changed: () => {
            session.notices.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
          },
          ended: onEnded,
        })
      } catch (error) {
        gone()
        throw error
      }
      if (response.destroyed) {
        gone()
        return true
      }
      session.notices.attach(response, afterEvent, gone)
      return true
    },

    async openSubscription({ id, toolsListChanged }, principal, until, response) {
      const leave = enter(principal)
      if (leave === undefined) return false
      const meta = { _meta: { [SUBSCRIPTION]: id } }
      const stream = createEventStream()
      const end = () => {
        stream.send({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...meta } })
        stream.end()
        gone()
      }
      const gone = () => {
        open.delete(end)
        clearTimeout(timer)
        stop()
        leave()
      }
      const timer = setTimeout(end, timeLeft(until)).unref()
      let stop: () => void = () => undefined
      open.add(end)
      try {
        stop = await watch.watch(principal, {
          changed: () => {
            if (toolsListChanged)
              stream.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: meta })
          },
          ended: end,
        })
      } catch (error) {
        gone()
        throw error
      }
      if (response.destroyed) {
        gone()
        return true
      }
      stream.attach(response, undefined, gone)
      stream.send({
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: toolsListChanged ? { toolsListChanged: true } : {}, ...meta },
      })
      return true
    },

    close() {
      for (const end of [...open]) end()
    },
  }
}
