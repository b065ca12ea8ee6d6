/**
 * The calls under way, so that the end of an access ends them too.
 *
 * An intent is refused exactly; what was permitted a moment before a revocation is already at the provider. Once a second
 * the database is asked about every call that takes longer than that, and those whose session, agent, connection or
 * workspace is gone, or whose tool the profile no longer has, are aborted: within five seconds, whichever process revoked.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import type { CallId, ConnectionId } from '../ids'
import type { Log } from '../log'
import type { AgentPrincipal } from '../tenancy/principal'
import { CallFailure } from './failure'

export interface RunningCall {
  readonly callId: CallId
  readonly principal: AgentPrincipal
  readonly connectionId: ConnectionId
  readonly profileVersion: number
  /** @returns the version that permits it now, or undefined when none does. Asked after the profile changed. */
  readonly rejudge: () => Promise<number | undefined>
}

export interface Watched {
  /** Aborts when the client goes away and when the access ends. */
  readonly signal: AbortSignal
  /** Why the access ended, once it did. */
  readonly endedBy: string | undefined
  leave(): void
}

export interface RunningCalls {
  enter(call: RunningCall, client: AbortSignal | undefined): Watched
  /** Looks once, now. The timer does this. */
  look(): Promise<void>
}

interface Entry {
  readonly call: RunningCall
  readonly controller: AbortController
  readonly since: number
  version: number
  endedBy: string | undefined
}

/** Shorter calls end by themselves before anybody could end them. */
const LONG_MS = 1_000
const EVERY_MS = 1_000
const MAX_ASKED = 1_000

export function createRunningCalls({ appDb, log }: { readonly appDb: AppDb; readonly log: Log }): RunningCalls {
  const entries = new Map<string, Entry>()
  let isLooking = false
  let timer: NodeJS.Timeout | undefined

  async function lookAt(asked: readonly Entry[]): Promise<void> {
    const rows = asked.map(({ call, version }) => ({
      call_id: call.callId,
      tenant_id: call.principal.tenantId,
      agent_id: call.principal.agentId,
      agent_session_id: call.principal.agentSessionId,
      connection_id: call.connectionId,
      profile_version: version,
    }))
    const ended = await appDb.global.$queryRaw<{ call_id: string; reason: string }[]>`
      SELECT call_id, reason FROM ended_calls(${JSON.stringify(rows)}::jsonb)`
    for (const { call_id: callId, reason } of ended) {
      const entry = entries.get(callId)
      if (entry === undefined) continue
      if (reason === 'profile_changed') {
        const version = await entry.call.rejudge()
        if (version !== undefined) {
          entry.version = version
          continue
        }
      }
      entry.endedBy = reason
      entry.controller.abort()
    }
  }

  async function look(): Promise<void> {
    if (isLooking) return
    isLooking = true
    try {
      const long = [...entries.values()].filter(
        ({ since, endedBy }) => endedBy === undefined && performance.now() - since >= LONG_MS,
      )
      for (let at = 0; at < long.length; at += MAX_ASKED) await lookAt(long.slice(at, at + MAX_ASKED))
    } catch (error) {
      log.warn({ err: error }, 'calls under way could not be looked at; they go on')
    } finally {
      isLooking = false
    }
  }

  return {
    enter(call, client) {
      const controller = new AbortController()
      const entry: Entry = {
        call,
        controller,
        since: performance.now(),
        version: call.profileVersion,
        endedBy: undefined,
      }
      const onGone = () => {
        controller.abort()
      }
      if (client?.aborted === true) controller.abort()
      else client?.addEventListener('abort', onGone, { once: true })
      entries.set(call.callId, entry)
      timer ??= setInterval(() => void look(), EVERY_MS).unref()
      return {
        signal: controller.signal,
        get endedBy() {
          return entry.endedBy
        },
        leave: () => {
          entries.delete(call.callId)
          client?.removeEventListener('abort', onGone)
        },
      }
    },
    look,
  }
}

/** @param isSent  whether anything of it may have reached the provider */
export function accessEnded(reason: string, isSent: boolean): CallFailure {
  return isSent
    ? new CallFailure(
        reason,
        'The access of this call ended while it was under way, so it is not known whether it was carried out.',
        'unknown',
      )
    : new CallFailure(reason, 'The access of this call ended before it was carried out.', 'cancelled')
}
