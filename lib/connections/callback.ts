/**
 * The return from the provider. Only the browser and session that asked may finish, once; the row is spent before the
 * code is. Each way of ending leaves words in the attempt's row for a page to show.
 *
 * @see RFC 9700 §4.4 (mix-up), §4.5 (code injection), §4.7 (CSRF)
 * @module
 */
import { timingSafeEqual } from 'node:crypto'

import type { AppTx } from '../db/app-db'
import { brand, hashSecret, newId, type Id, type PersonId } from '../ids'
import type { ExchangeResult } from '../providers/client'
import { Secret } from '../secret'
import { isPermitted } from '../tenancy/permission'
import type { Role } from '../tenancy/principal'
import { endAttempt, findAttemptByState, personOf, spoolId, type ConnectAttempt, type ConnectOutcome } from './attempt'
import type { Complete } from './complete'
import type { ConnectionsDeps } from './deps'
import { callbackUri } from './start'

/** Who came back. */
export interface Returning {
  /** The living web session of the request, if any. */
  readonly session: { readonly sessionId: Id<'webSession'>; readonly personId: PersonId } | undefined
  readonly browserHash: Buffer | undefined
  readonly network: string
}

export type CallbackResult =
  /** The attempt's row says, or will say in a moment, how it ended. */
  | { readonly kind: 'attempt'; readonly attemptId: Id<'connectAttempt'> }
  /** There is no such attempt in this browser; nothing is told about one elsewhere. */
  | { readonly kind: 'stranger'; readonly problem: 'unknown_link' | 'other_browser' }

export function createCallback(deps: ConnectionsDeps, completion: Complete) {
  const { appDb, audit, log, providers, publicUrl, spool } = deps

  return async function callback(provider: string, url: URL, returning: Returning): Promise<CallbackResult> {
    const states = url.searchParams.getAll('state')
    const state = states[0]
    if (states.length !== 1 || state === undefined || state.length > 256)
      return { kind: 'stranger', problem: 'unknown_link' }
    const found = await findAttemptByState(appDb, hashSecret(state))
    if (found === undefined) return { kind: 'stranger', problem: 'unknown_link' }
    const { tenantId, id } = found

    const spent = await appDb.tenant(tenantId, (tx) => spend(tx, found, provider, returning))
    switch (spent.kind) {
      case 'other_browser':
        return { kind: 'stranger', problem: 'other_browser' }
      case 'ended':
        return { kind: 'attempt', attemptId: id }
      case 'spent':
        await finish(spent.attempt, new Secret(state), url)
        return { kind: 'attempt', attemptId: id }
    }
  }

  type Spent =
    | { readonly kind: 'other_browser' }
    | { readonly kind: 'ended' }
    | { readonly kind: 'spent'; readonly attempt: ConnectAttempt }

  /** Decides and spends in one transaction. The one conditional UPDATE lets exactly one of any number of returns through. */
  async function spend(
    tx: AppTx,
    { tenantId, id }: { readonly tenantId: ConnectAttempt['tenantId']; readonly id: Id<'connectAttempt'> },
    provider: string,
    { session, browserHash, network }: Returning,
  ): Promise<Spent> {
    const row = await tx.connectAttempt.findFirst({ where: { tenantId, id } })
    if (row === null) return { kind: 'ended' }
    const attempt: ConnectAttempt = {
      tenantId,
      id,
      personId: brand(row.personId),
      provider: row.provider,
      providerApp: row.providerApp,
      requestedScopes: row.requestedScopes,
      connectionId: row.connectionId === null ? null : brand(row.connectionId),
      expectedSubject: row.expectedSubject,
      codeVerifier: row.codeVerifier,
      nonce: row.nonce,
      webSessionId: brand(row.webSessionId),
      network,
    }
    const refuse = async (outcome: ConnectOutcome, reason: string, actorId?: PersonId) => {
      if (!(await endAttempt(tx, attempt, outcome))) return
      await audit.never(tx, {
        tenantId,
        action: 'connection.refused',
        actor: actorId === undefined ? { kind: 'anonymous' } : { kind: 'person', personId: actorId },
        targetId: id,
        outcome: 'denied',
        reason,
        detail: { provider: attempt.provider },
        network,
      })
    }
    const isInitiator =
      session !== undefined &&
      session.sessionId === row.webSessionId &&
      session.personId === attempt.personId &&
      browserHash !== undefined &&
      timingSafeEqual(browserHash, row.browserHash)
    if (!isInitiator) {
      // Its link is in somebody else's hands: it is worth nothing from now on, here or there.
      await refuse({ kind: 'failed', code: 'other_browser', retryable: false }, 'other_browser', session?.personId)
      return { kind: 'other_browser' }
    }
    const client = providers.get(provider)
    if (attempt.provider !== provider || client?.app.key !== attempt.providerApp) {
      await refuse({ kind: 'failed', code: 'wrong_provider', retryable: true }, 'wrong_provider', attempt.personId)
      return { kind: 'ended' }
    }
    const member = await tx.membership.findFirst({ where: { tenantId, personId: attempt.personId } })
    const tenant = await tx.tenant.findFirst({ where: { id: tenantId, disabledAt: null } })
    if (member === null || tenant === null || !isPermitted(member.role as Role, 'connection.connect')) {
      // the column's CHECK lists the roles
      await refuse({ kind: 'failed', code: 'not_permitted', retryable: false }, 'not_permitted', attempt.personId)
      return { kind: 'ended' }
    }
    const count = await tx.$executeRaw`
      UPDATE connect_attempt SET used_at = now()
       WHERE tenant_id = ${tenantId} AND id = ${id} AND used_at IS NULL AND expires_at > now()`
    if (count === 1) return { kind: 'spent', attempt }
    if (row.usedAt === null) await refuse({ kind: 'expired' }, 'expired', attempt.personId)
    return { kind: 'ended' }
  }

  /** Not tied to the browser's patience: a code that is spent is carried through even when nobody waits for it any more. */
  async function finish(attempt: ConnectAttempt, state: Secret, url: URL): Promise<void> {
    const client = providers.get(attempt.provider)
    if (client === undefined) return
    const newConnectionId = newId('connection', deps.clock.now())
    // Before the code is spent: proof that the answer could be kept.
    try {
      await spool.prepare({
        tenantId: attempt.tenantId,
        connectionId: newConnectionId,
        attemptId: spoolId(attempt.id),
        generation: 1,
      })
    } catch (error) {
      log.error(
        { err: error, attemptId: attempt.id },
        'A consent was not carried through: its answer could not be kept.',
      )
      await conclude(attempt, { kind: 'failed', code: 'service_unavailable', retryable: true }, 'journal')
      return
    }
    const result = await client.exchangeCode({
      callbackUrl: url,
      redirectUri: callbackUri(publicUrl, client),
      state,
      nonce: attempt.nonce,
      codeVerifier: attempt.codeVerifier,
      requestedScopes: attempt.requestedScopes,
    })
    if (result.kind === 'issued') {
      try {
        await completion.complete({
          attempt,
          client,
          tokens: result.tokens,
          identity: result.identity,
          newConnectionId,
        })
      } catch (error) {
        // The answer is in the journal, and the attempt stays open until the sweeper has finished or ended it.
        log.error({ err: error, attemptId: attempt.id }, 'A consent is finished later.')
      }
      return
    }
    if (result.kind === 'untrusted' && result.tokens !== null)
      await completion.discard(client, result.tokens, undefined)
    const outcome = outcomeOf(result)
    if (result.kind === 'app_fault')
      log.error({ provider: attempt.provider, code: result.code }, 'The provider refuses our app; check its settings.')
    await conclude(attempt, outcome, result.kind, result.code)
  }

  async function conclude(attempt: ConnectAttempt, outcome: ConnectOutcome, kind: string, code = ''): Promise<void> {
    await appDb.tenant(attempt.tenantId, async (tx) => {
      if (!(await endAttempt(tx, attempt, outcome))) return
      await audit.never(tx, {
        tenantId: attempt.tenantId,
        action: 'connection.refused',
        actor: personOf(attempt),
        targetId: attempt.id,
        outcome: outcome.kind === 'refused' ? 'denied' : 'error',
        reason: outcome.kind === 'failed' ? outcome.code : outcome.kind,
        detail: { provider: attempt.provider, kind, code },
        network: attempt.network ?? undefined,
      })
    })
  }
}

type NotIssued = Exclude<ExchangeResult, { readonly kind: 'issued' }>

/** Few words for a page; the provider's own code is in the audit record. */
function outcomeOf(result: NotIssued): ConnectOutcome {
  switch (result.kind) {
    case 'declined':
      if (result.code === 'access_denied' || result.code === 'consent_required') return { kind: 'refused' }
      if (result.code === 'temporarily_unavailable' || result.code === 'server_error')
        return { kind: 'failed', code: 'provider_unavailable', retryable: true }
      return { kind: 'failed', code: 'provider_refused', retryable: false }
    case 'untrusted':
      return { kind: 'failed', code: 'answer_not_trusted', retryable: true }
    case 'permanent':
    case 'rejected':
      return { kind: 'failed', code: 'code_refused', retryable: true }
    case 'weather':
      return { kind: 'failed', code: 'provider_unavailable', retryable: true }
    case 'unknown_outcome':
      return { kind: 'failed', code: 'answer_lost', retryable: true }
    case 'app_fault':
      return { kind: 'failed', code: 'app_misconfigured', retryable: false }
  }
}
