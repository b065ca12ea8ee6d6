/**
 * What the application database keeps about a credential: the least generation the vault may hold, and a copy of the
 * state for display. Written after the vault's commit; what is missed is made good by the next write or the sweeper.
 *
 * The floor lives apart from what it guards: whoever puts an old vault row back does not reach it.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import type { TenantId } from '../ids'
import type { ConnectionState } from './state'

export interface Floor {
  readonly generation: number
  readonly access: string
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
  /** A copy that is newer stays. */
  copyState(
    tenantId: TenantId,
    connectionId: string,
    change: { readonly state: ConnectionState; readonly reason: string | null; readonly at: Date },
  ): Promise<void>
}

export function createMirror(appDb: AppDb): Mirror {
  return {
    floor: (tenantId, connectionId) =>
      appDb.tenant(tenantId, async (tx) => {
        const row = await tx.connection.findFirst({
          where: { tenantId, id: connectionId },
          select: { credentialGeneration: true, access: true },
        })
        return row === null ? undefined : { generation: row.credentialGeneration, access: row.access }
      }),
    raiseFloor: async (tenantId, connectionId, generation, grantedScopes) => {
      await appDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          UPDATE connection SET credential_generation = ${generation}, granted_scopes = COALESCE(${grantedScopes === null ? null : [...grantedScopes]}::text[], granted_scopes)
           WHERE tenant_id = ${tenantId} AND id = ${connectionId} AND credential_generation < ${generation}`,
      )
    },
    copyState: async (tenantId, connectionId, { state, reason, at }) => {
      await appDb.tenant(
        tenantId,
        (tx) => tx.$executeRaw`
          UPDATE connection SET state = ${state}, state_reason = ${reason}, state_at = ${at}
           WHERE tenant_id = ${tenantId} AND id = ${connectionId} AND state_at <= ${at}`,
      )
    },
  }
}
