/**
 * A consent under way, as its row says, and the ways it can end. The end is read by a page, so it holds codes of ours
 * and names of accounts, never a provider's prose and never a token.
 *
 * @module
 */
import type { AuditActor } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { brand, isId, type ConnectionId, type Id, type PersonId, type TenantId } from '../ids'

export interface ConnectAttempt {
  readonly tenantId: TenantId
  readonly id: Id<'connectAttempt'>
  readonly personId: PersonId
  readonly provider: string
  readonly providerApp: string
  readonly requestedScopes: readonly string[]
  /** The connection to renew. */
  readonly connectionId: ConnectionId | null
  readonly expectedSubject: string | null
  readonly codeVerifier: string
  readonly nonce: string
  /** Where the person came back from; null when nobody is there any more. */
  readonly webSessionId: Id<'webSession'> | null
  readonly network: string | null
}

export type ConnectOutcome =
  | { readonly kind: 'connected'; readonly connectionId: string; readonly account: string }
  | {
      readonly kind: 'partial'
      readonly connectionId: string
      readonly account: string
      readonly missing: readonly string[]
    }
  | { readonly kind: 'refused' }
  | {
      readonly kind: 'other_account'
      readonly connectionId: string
      readonly expectedAccount: string
      readonly givenAccount: string
    }
  | { readonly kind: 'expired' }
  /** `code` is one of ours or a documented one of the provider; `retryable` when trying again may help at once. */
  | { readonly kind: 'failed'; readonly code: string; readonly retryable: boolean }

/** Who acts when a consent goes on. */
export const personOf = ({ personId, webSessionId }: ConnectAttempt): AuditActor => ({
  kind: 'person',
  personId,
  ...(webSessionId === null ? {} : { webSessionId }),
})

/** Writes how it ended. The first end stays. */
export async function endAttempt(
  tx: AppTx,
  attempt: Pick<ConnectAttempt, 'tenantId' | 'id'>,
  outcome: ConnectOutcome,
): Promise<boolean> {
  const { kind, ...detail } = outcome
  const count = await tx.$executeRaw`
    UPDATE connect_attempt SET outcome = ${kind}, outcome_detail = ${JSON.stringify(detail)}::jsonb, used_at = COALESCE(used_at, now()),
        connection_id = COALESCE(${'connectionId' in outcome ? outcome.connectionId : null}, connection_id),
        code_verifier = '', nonce = ''
     WHERE tenant_id = ${attempt.tenantId} AND id = ${attempt.id} AND outcome IS NULL`
  return count === 1
}

/** The attempt behind a `state`, found by its hash in whichever workspace it is. */
export async function findAttemptByState(
  appDb: AppDb,
  stateHash: Buffer,
): Promise<{ readonly tenantId: TenantId; readonly id: Id<'connectAttempt'> } | undefined> {
  const rows = await appDb.global.$queryRaw<{ tenant_id: string; attempt_id: string }[]>`
    SELECT tenant_id, attempt_id FROM connect_attempt_by_hash(${stateHash})`
  const row = rows[0]
  return row === undefined ? undefined : { tenantId: brand(row.tenant_id), id: brand(row.attempt_id) }
}

/** The name under which an attempt's answer is kept on disk, and back. */
export function spoolId(id: Id<'connectAttempt'>): Id<'attempt'> {
  return brand(`att_${id.slice(4)}`)
}

export function attemptOfSpool(id: string): Id<'connectAttempt'> | undefined {
  const name = `cat_${id.slice(4)}`
  return isId('connectAttempt', name) ? name : undefined
}
