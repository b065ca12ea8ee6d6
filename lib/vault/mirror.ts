/**
 * What the application database keeps about a credential: the least generation the vault may hold, a copy of the state
 * and of the dates for display, and the history. Written after the vault's commit and never in its way; a state that was
 * not copied is owed and copied later, the rest is made good by the next write.
 *
 * The floor lives apart from what it guards: whoever puts an old vault row back does not reach it.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { newId, type TenantId } from '../ids'
import type { CredentialRow } from './row'
import { isUsable, type ConnectionState } from './state'
import type { StateChange } from './transition'

export interface Floor {
  readonly generation: number
  readonly access: string
}

/** What people are shown of a row. */
export interface Shown {
  readonly at: Date
  readonly accessExpiresAt: Date | null
  readonly refreshExpiresAt: Date | null
  readonly nextRefreshAt: Date | null
  readonly refreshTokenPresent: boolean
  readonly failures: number
}

/** One attempt to refresh, as it ended. */
export interface RefreshEvent {
  readonly at: Date
  /** What asked for it. */
  readonly cause: string
  /** `issued`, the kind of the failure, or `not_tried`. */
  readonly outcome: string
  /** The failure in one word. */
  readonly code: string | null
  readonly latencyMs: number | null
  readonly generation: number
}

export interface Report {
  readonly floor?: { readonly generation: number; readonly grantedScopes: readonly string[] | null }
  readonly shown: Shown
  readonly event?: RefreshEvent
}

export interface Mirror {
  /** Undefined while a connection is being made: vault first, then the application database. */
  floor(tenantId: TenantId, connectionId: string): Promise<Floor | undefined>
  /** Never lowers it. Scopes are copied with the generation they came with; null leaves them. */
  raiseFloor(
    tenantId: TenantId,
    connectionId: string,
    generation: number,
    grantedScopes: readonly string[] | null,
  ): Promise<void>
  /** A copy that is newer stays. What is revoked is blocked here too. Safe to repeat: its line in the history is one. */
  copyState(tenantId: TenantId, connectionId: string, change: Omit<StateChange, 'from'>): Promise<void>
  /** What became of a row, and the attempt that made it so, in one commit. */
  report(tenantId: TenantId, connectionId: string, report: Report): Promise<void>
}

/** The newest of each connection; retention ends what is older than a season. */
export const EVENTS_KEPT = 200
const TRIM_ONE_IN = 16

export function shownOf(row: CredentialRow): Shown {
  const refreshTokenPresent = row.refreshSealed !== null
  return {
    at: row.updatedAt,
    accessExpiresAt: row.accessExpiresAt,
    refreshExpiresAt: row.refreshExpiresAt,
    nextRefreshAt: isUsable(row.state) && refreshTokenPresent ? row.refreshAt : null,
    refreshTokenPresent,
    failures: row.failures,
  }
}

export function createMirror(appDb: AppDb, { random = Math.random }: { readonly random?: () => number } = {}): Mirror {
  /** Costs a look at so many rows, so not every line does it. */
  const trim = async (tx: AppTx, tenantId: TenantId, connectionId: string): Promise<void> => {
    await tx.$executeRaw`
      DELETE FROM refresh_event WHERE tenant_id = ${tenantId} AND id IN (
        SELECT id FROM refresh_event WHERE tenant_id = ${tenantId} AND connection_id = ${connectionId}
         ORDER BY at DESC, id DESC OFFSET ${EVENTS_KEPT})`
  }
  const isTrimming = () => random() * TRIM_ONE_IN < 1

  return {
    floor: async (tenantId, connectionId) => {
      const [floor] = await appDb.global.$queryRaw<Floor[]>`
        SELECT generation, access FROM connection_floor(${tenantId}, ${connectionId})`
      return floor
    },
    raiseFloor: async (tenantId, connectionId, generation, grantedScopes) => {
      await appDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          UPDATE connection SET credential_generation = ${generation},
              granted_scopes = COALESCE(${grantedScopes === null ? null : [...grantedScopes]}::text[], granted_scopes)
           WHERE tenant_id = ${tenantId} AND id = ${connectionId} AND credential_generation < ${generation}`,
      )
    },
    copyState: (tenantId, connectionId, { state, reason, cause, at, generation }) =>
      appDb.tenant(tenantId, async (tx) => {
        const isRevoked = state === 'revoked'
        await tx.$executeRaw`
          UPDATE connection SET state = ${state}, state_reason = ${reason}, state_at = ${at},
              access_reason = CASE WHEN ${isRevoked} AND access = 'allowed' THEN 'revoked' ELSE access_reason END,
              access = CASE WHEN ${isRevoked} AND access = 'allowed' THEN 'blocked' ELSE access END,
              next_refresh_at = CASE WHEN ${isUsable(state)} THEN next_refresh_at END
           WHERE tenant_id = ${tenantId} AND id = ${connectionId} AND state_at <= ${at}`
        const event = columnsOf({ at, cause, outcome: stateOutcome(state), code: reason, latencyMs: null, generation })
        await tx.$executeRaw`SELECT add_refresh_event(${tenantId}, ${connectionId}, ${event.id}, ${event.at}::timestamptz,
          ${event.cause}, ${event.outcome}, ${event.code}, ${event.latencyMs}::integer, ${event.generation}::integer)`
        if (isTrimming()) await trim(tx, tenantId, connectionId)
      }),
    report: async (tenantId, connectionId, { floor, shown, event: reported }) => {
      const { at, accessExpiresAt, refreshExpiresAt, nextRefreshAt, refreshTokenPresent, failures } = shown
      const scopes = floor?.grantedScopes ?? null
      const event = reported === undefined ? undefined : columnsOf(reported)
      await appDb.global.$executeRaw`
        SELECT show_credential(${tenantId}, ${connectionId}, ${at}::timestamptz, ${accessExpiresAt}::timestamptz,
          ${refreshExpiresAt}::timestamptz, ${nextRefreshAt}::timestamptz, ${refreshTokenPresent}::boolean, ${failures}::integer,
          ${floor?.generation ?? 0}::integer, ${scopes === null ? null : [...scopes]}::text[],
          ${event?.id ?? null}::text, ${event?.at ?? null}::timestamptz, ${event?.cause ?? null}::text, ${event?.outcome ?? null}::text,
          ${event?.code ?? null}::text, ${event?.latencyMs ?? null}::integer, ${event?.generation ?? null}::integer)`
      if (event !== undefined && isTrimming()) await appDb.tenant(tenantId, (tx) => trim(tx, tenantId, connectionId))
    },
  }
}

/** As the columns of the history take it. */
function columnsOf({ at, cause, outcome, code, latencyMs, generation }: RefreshEvent) {
  return {
    id: newId('refreshEvent', at),
    at,
    cause: short(cause),
    outcome: short(outcome),
    code: code === null ? null : short(code),
    latencyMs: latencyMs === null ? null : Math.min(Math.max(Math.round(latencyMs), 0), 2 ** 31 - 1),
    generation,
  }
}

export const stateOutcome = (state: ConnectionState) => `state:${state}`

const short = (code: string) => code.slice(0, 64)
