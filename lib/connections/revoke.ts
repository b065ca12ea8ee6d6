/**
 * Carrying out queued revocations at the provider, as often as it takes. The row goes when the provider confirms.
 *
 * @module
 */
import { brand, type TenantId } from '../ids'
import type { RevokeResult } from '../providers/client'
import { revocableScope, siblingsOf, type ConnectionsDeps } from './deps'

export type RevocationProgress = 'done' | 'postponed' | 'given_up'

const BASE_MS = 30_000
const MAX_MS = 60 * 60_000
/** About four days at an hour each: the tokens of most providers are dead by themselves long before. */
const MAX_ATTEMPTS = 100

export function createRevoke(deps: ConnectionsDeps & { readonly random?: () => number }) {
  const { appDb, audit, credentials, log, providers, vaultDb, random = Math.random } = deps
  const { revocations } = credentials

  const revoke = async (tenantId: TenantId, revocationId: string): Promise<RevocationProgress> => {
    const open = await revocations.open(tenantId, revocationId)
    if (open === undefined) return 'done'
    const { connectionId, provider, providerApp, tokens, attempts } = open
    const finish = async (result: RevocationProgress, reason: string) => {
      await audit.never(null, {
        tenantId,
        action: 'connection.revoked_at_provider',
        actor: { kind: 'system' },
        connectionId: brand(connectionId),
        targetId: revocationId,
        outcome: result === 'done' ? 'success' : 'error',
        reason,
        detail: { provider, attempts },
      })
      await revocations.finish(tenantId, revocationId)
      return result
    }
    const postpone = async (code: string, retryAfterSeconds?: number): Promise<RevocationProgress> => {
      if (attempts >= MAX_ATTEMPTS) {
        log.error(
          { provider, code, connectionId },
          'A revocation was given up; end the access at the provider by hand.',
        )
        return finish('given_up', code)
      }
      const backoff = Math.min(MAX_MS, BASE_MS * 2 ** Math.min(attempts, 20))
      await revocations.postpone(
        tenantId,
        revocationId,
        retryAfterSeconds === undefined ? backoff * (0.5 + random() / 2) : retryAfterSeconds * 1000,
      )
      return 'postponed'
    }

    const client = providers.get(provider)
    // Tokens of one app are no use to another; the operator may set the right one again.
    if (client?.app.key !== providerApp) return postpone('app_missing')
    // The account may have been connected again since: then the same word would end the new connection too.
    const connection = await appDb.tenant(tenantId, (tx) =>
      tx.connection.findFirst({ where: { tenantId, id: connectionId } }),
    )
    const siblings =
      connection === null
        ? 0
        : await siblingsOf(appDb, { provider, providerApp, subject: connection.subject }, brand(connectionId))
    const allowed = revocableScope(client.definition.revocation.reach, siblings)
    if (allowed === undefined) return finish('done', 'shared_grant')
    const result: RevokeResult = await client.revoke(tokens, open.scope === 'grant' ? allowed : open.scope)
    switch (result.kind) {
      case 'revoked':
        return finish('done', 'confirmed')
      case 'weather':
        return postpone(result.code, result.retryAfterSeconds)
      case 'app_fault':
        log.error({ provider, code: result.code }, 'The provider refuses our app; check its settings.')
        return postpone(result.code)
      case 'rejected':
        return postpone(result.code)
      case 'unsupported':
        return finish('given_up', result.code)
    }
  }

  /** Revocations that may be tried now, for a worker to carry out. */
  const due = async (limit: number): Promise<{ readonly tenantId: TenantId; readonly revocationId: string }[]> => {
    const rows = await vaultDb.global.$queryRaw<{ tenant_id: string; revocation_id: string }[]>`
      SELECT tenant_id, revocation_id FROM due_revocations(${limit}::integer)`
    return rows.map((row) => ({ tenantId: brand(row.tenant_id), revocationId: row.revocation_id }))
  }

  return { revoke, due }
}
