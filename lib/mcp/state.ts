/**
 * What the endpoint remembers between requests: sessions, open streams, questions to users. All of it bounded, none of it
 * authority, and gone with the process.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'

import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import type { Log } from '../log'
import type { TenantKeys } from '../vault/tenant-keys'
import { createAccountRequests, STATE_MAX_AGE_MS, type AccountRequests } from './connect'
import type { Relay } from './relay'
import { createMcpSeals } from './sealed'
import { createMcpSessions, SESSION_MAX_AGE_MS, type McpSessions } from './sessions'
import { createStreams, type StreamLimits, type Streams } from './streams'
import { createAgentWatch } from './watch'

export interface McpState {
  readonly mcpSessions: McpSessions
  readonly streams: Streams
  readonly requests: AccountRequests
  /** Undefined: there is one gateway. */
  readonly relay: Relay | undefined
  /** Ends every stream, so that the server can close. */
  close(): void
}

export const newInstanceId = (): string => randomBytes(9).toString('base64url')

export function createMcpState(deps: {
  readonly appDb: AppDb
  readonly keys: Pick<TenantKeys, 'current' | 'at'>
  readonly clock: Clock
  readonly log: Log
  readonly instanceId: string
  readonly relay?: Relay
  readonly limits?: StreamLimits
}): McpState {
  const { appDb, keys, clock, log, instanceId, relay, limits } = deps
  const seals = createMcpSeals({ keys, clock, maxAgeMs: { session: SESSION_MAX_AGE_MS, state: STATE_MAX_AGE_MS } })
  const mcpSessions = createMcpSessions({ instanceId, seals, clock })
  const streams = createStreams({
    watch: createAgentWatch({ appDb, log }),
    ...(limits === undefined ? {} : { limits }),
  })
  return {
    mcpSessions,
    streams,
    requests: createAccountRequests(seals),
    relay,
    close() {
      streams.close()
      mcpSessions.close()
    },
  }
}
