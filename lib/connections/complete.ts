/**
 * From tokens to a connection: journal, whose account it is, vault, application row, in this order. Every step can be
 * repeated, because after a crash the journal is read and they are.
 *
 * @module
 */
import type { AuditActor } from '../audit/record'
import { isUniqueViolation } from '../db/retry'
import { AppError } from '../errors'
import type { ConnectionId } from '../ids'
import type { ProviderClient, ProviderIdentity } from '../providers/client'
import { missingScopes } from '../providers/scopes'
import type { TokenSet } from '../providers/token-set'
import { variantOf } from '../providers/variants'
import type { NewCredential } from '../vault/credential'
import { endAttempt, personOf, spoolId, type ConnectAttempt, type ConnectOutcome } from './attempt'
import { revocableScope, siblingsOf, type ConnectionsDeps } from './deps'

const IDENTITY_TRIES = 3
const RACE_TRIES = 4

export interface Complete {
  /** Ends the attempt one way or the other. Throws only for faults of our own, with the journal entry left in place. */
  complete(input: CompleteInput): Promise<ConnectOutcome>
  /** Ends tokens that will not be stored. @returns false when the provider must be asked again later */
  discard(client: ProviderClient, tokens: TokenSet, subject: string | undefined): Promise<boolean>
}

export interface CompleteInput {
  readonly attempt: ConnectAttempt
  readonly client: ProviderClient
  readonly tokens: TokenSet
  /** What the token answer itself said; null when the provider must be asked. */
  readonly identity: ProviderIdentity | null
  /** The id a new connection gets; the same in every repetition. */
  readonly newConnectionId: ConnectionId
}

export function createComplete(deps: ConnectionsDeps): Complete {
  const { appDb, audit, credentials, log, spool } = deps

  const discard: Complete['discard'] = async (client, tokens, subject) => {
    const { definition, app } = client
    // Whose grant it is decides what may be ended. When nobody can say, only what surely spares other connections.
    const siblings =
      subject === undefined ? 1 : await siblingsOf(appDb, { provider: definition.name, providerApp: app.key, subject })
    const scope = revocableScope(definition.revocation.reach, siblings)
    if (scope === undefined) return true
    const result = await client.revoke(
      {
        accessToken: tokens.accessToken,
        ...(tokens.refreshToken === null ? {} : { refreshToken: tokens.refreshToken }),
      },
      scope,
    )
    if (result.kind !== 'revoked')
      log.warn(
        { provider: definition.name, kind: result.kind, code: result.code },
        'Unused tokens are not revoked yet.',
      )
    return result.kind === 'revoked' || result.kind === 'rejected' || result.kind === 'unsupported'
  }

  const end = async (attempt: ConnectAttempt, outcome: ConnectOutcome): Promise<ConnectOutcome> => {
    await appDb.tenant(attempt.tenantId, async (tx) => {
      if (!(await endAttempt(tx, attempt, outcome))) return
      await audit.never(tx, {
        tenantId: attempt.tenantId,
        action: 'connection.refused',
        actor: personOf(attempt),
        targetId: attempt.id,
        outcome: 'error',
        reason: outcome.kind === 'failed' ? outcome.code : outcome.kind,
        ...(attempt.connectionId === null ? {} : { connectionId: attempt.connectionId }),
        detail: { provider: attempt.provider },
        network: attempt.network ?? undefined,
      })
    })
    return outcome
  }

  const complete: Complete['complete'] = async (input) => {
    const { attempt, client, tokens } = input
    const { tenantId } = attempt
    try {
      await spool.write(
        { tenantId, connectionId: input.newConnectionId, attemptId: spoolId(attempt.id), generation: 1 },
        tokens,
      )
    } catch (error) {
      // What a crash could lose is not begun: the access ends while somebody still knows of it.
      log.error({ err: error, attemptId: attempt.id }, 'A new access is ended: it could not be kept safely.')
      const subject = input.identity?.subject ?? (await subjectOf(client, tokens))
      await discard(client, tokens, subject)
      return end(attempt, { kind: 'failed', code: 'service_unavailable', retryable: true })
    }
    const identified = await identify(client, tokens, input.identity)
    if (identified.identity === undefined) {
      if (await discard(client, tokens, undefined)) await spool.remove(spoolId(attempt.id))
      return end(attempt, { kind: 'failed', code: identified.code, retryable: true })
    }
    const { identity } = identified
    const grantedScopes = identified.grantedScopes ?? tokens.grantedScopes

    if (attempt.expectedSubject !== null && attempt.expectedSubject !== identity.subject) {
      const expected = await appDb.tenant(tenantId, (tx) =>
        tx.connection.findFirst({
          where: { tenantId, id: attempt.connectionId ?? '' },
          select: { accountLabel: true },
        }),
      )
      if (await discard(client, tokens, identity.subject)) await spool.remove(spoolId(attempt.id))
      return end(attempt, {
        kind: 'other_account',
        connectionId: attempt.connectionId ?? '',
        expectedAccount: expected?.accountLabel ?? '',
        givenAccount: identity.label,
      })
    }
    const stored = await store(input, identity, { ...tokens, grantedScopes })
    await spool.remove(spoolId(attempt.id))
    return stored
  }

  /** Vault first, application row second: a row that people see always has something behind it. */
  const store = async (
    { attempt, client, newConnectionId }: CompleteInput,
    identity: ProviderIdentity,
    tokens: TokenSet,
  ): Promise<ConnectOutcome> => {
    const { tenantId, personId, provider, providerApp } = attempt
    const { subject } = identity
    const account = { tenantId, provider, providerApp, subject, tokens }
    for (let attemptNumber = 1; attemptNumber <= RACE_TRIES; attemptNumber += 1) {
      const existing = await appDb.tenant(tenantId, (tx) =>
        tx.connection.findFirst({
          where: { tenantId, ownerPersonId: personId, provider, providerApp, subject, access: { not: 'deleted' } },
          select: { id: true, credentialGeneration: true },
        }),
      )
      const connectionId = existing === null ? newConnectionId : (existing.id as ConnectionId) // an id of ours
      const credential: NewCredential = { ...account, connectionId }
      const generation =
        existing === null || existing.id === newConnectionId
          ? await createOnce(credential)
          : await replaceTokens(client, credential, existing.credentialGeneration, personOf(attempt))
      if (generation === undefined) {
        // The vault has nothing to renew there: the row is the leftover of a connection that ended.
        await appDb.tenant(tenantId, (tx) =>
          tx.connection.updateMany({
            where: { tenantId, id: connectionId },
            data: { access: 'deleted', accessReason: 'credential_missing', state: 'disconnected' },
          }),
        )
        continue
      }
      try {
        return await show(attempt, client, identity, tokens, connectionId, generation, existing !== null)
      } catch (error) {
        if (!isUniqueViolation(error)) throw error
        // Another tab connected the same account at this moment. Its connection takes these tokens.
        await credentials.destroy(tenantId, newConnectionId, { reason: 'duplicate' })
      }
    }
    throw new AppError('resource.conflict', 'This account is being connected at this moment. Try again.')
  }

  /** @returns the generation stored, by this or by the run before the crash */
  const createOnce = async (credential: NewCredential): Promise<number> => {
    const before = await credentials.read(credential.tenantId, credential.connectionId)
    if (before !== undefined) return before.generation
    return (await credentials.create(credential)).generation
  }

  const replaceTokens = async (
    client: ProviderClient,
    credential: NewCredential,
    floor: number,
    actor: AuditActor,
  ): Promise<number | undefined> => {
    const { tenantId, connectionId, tokens } = credential
    const before = await credentials.read(tenantId, connectionId)
    if (before === undefined || before.state === 'disconnected') return undefined
    const old =
      before.refreshSealed === null ? undefined : await credentials.openRefreshToken(before).catch(() => undefined)
    const { generation } = await credentials.replace(credential, { minGeneration: Math.max(floor, 1), actor })
    // The chain before this one still works where consents add up. Where one word ends them all, it must be left alone.
    const isReplaced =
      old !== undefined && tokens.refreshToken !== null && old.reveal() !== tokens.refreshToken.reveal()
    if (isReplaced && client.definition.revocation.endsReplacedTokens) {
      const id = await credentials.queueRevocation(tenantId, connectionId, 'token', { refreshToken: old })
      if (id !== undefined) await deps.onRevocation(tenantId, id).catch(() => undefined)
    }
    return generation
  }

  const show = async (
    attempt: ConnectAttempt,
    client: ProviderClient,
    identity: ProviderIdentity,
    tokens: TokenSet,
    connectionId: ConnectionId,
    generation: number,
    isKnown: boolean,
  ): Promise<ConnectOutcome> => {
    const { tenantId, personId, provider, providerApp } = attempt
    const { grantedScopes } = tokens
    const variant = variantOf(client.definition, tokens, deps.clock.now())
    const missing = missingScopes(client.definition.scopes, grantedScopes, attempt.requestedScopes)
    const outcome: ConnectOutcome =
      missing.length === 0
        ? { kind: 'connected', connectionId, account: identity.label }
        : { kind: 'partial', connectionId, account: identity.label, missing }
    await appDb.tenant(tenantId, async (tx) => {
      const scopes = [...attempt.requestedScopes]
      const granted = [...grantedScopes]
      if (isKnown)
        await tx.$executeRaw`
          UPDATE connection SET access = 'allowed', access_reason = NULL, state = 'active', state_reason = NULL, state_at = now(),
              credential_generation = GREATEST(credential_generation, ${generation}), requested_scopes = ${scopes}, granted_scopes = ${granted},
              account_label = ${identity.label}, account_email = ${identity.email}, token_variant = ${variant}, authorized_at = now()
           WHERE tenant_id = ${tenantId} AND id = ${connectionId} AND access <> 'deleted'`
      else
        await tx.connection.create({
          data: {
            tenantId,
            id: connectionId,
            provider,
            providerApp,
            subject: identity.subject,
            accountLabel: identity.label,
            accountEmail: identity.email,
            ownerPersonId: personId,
            access: 'allowed',
            state: 'active',
            credentialGeneration: generation,
            requestedScopes: scopes,
            grantedScopes: granted,
            tokenVariant: variant,
            authorizedAt: deps.clock.now(),
          },
        })
      await endAttempt(tx, attempt, outcome)
      await audit.event(tx, {
        tenantId,
        action: isKnown ? 'connection.reconnected' : 'connection.connected',
        actor: personOf(attempt),
        connectionId,
        targetId: attempt.id,
        outcome: 'success',
        detail: { provider, account: identity.label, scopes: granted.join(' '), missing: missing.join(' ') },
        network: attempt.network ?? undefined,
      })
    })
    credentials.evict(tenantId, connectionId)
    credentials.show(tenantId, connectionId)
    return outcome
  }

  return { complete, discard }
}

async function subjectOf(client: ProviderClient, tokens: TokenSet): Promise<string | undefined> {
  const result = await client.identify(tokens.accessToken)
  return result.kind === 'known' ? result.identity.subject : undefined
}

type Identified =
  | { readonly identity: ProviderIdentity; readonly grantedScopes: string[] | null }
  | { readonly identity: undefined; readonly code: string }

/** Whose account the tokens open, from the token answer where it says so, else by asking with them. */
async function identify(
  client: ProviderClient,
  tokens: TokenSet,
  answered: ProviderIdentity | null,
): Promise<Identified> {
  if (answered !== null && client.definition.identity.isInIdToken) return { identity: answered, grantedScopes: null }
  let code = 'identity_unavailable'
  for (let attempt = 1; attempt <= IDENTITY_TRIES; attempt += 1) {
    const result = await client.identify(tokens.accessToken)
    if (result.kind === 'known') {
      // The two must speak of one account; the second call only brings names.
      if (answered !== null && answered.subject !== result.identity.subject)
        return { identity: undefined, code: 'identity_mismatch' }
      return result
    }
    code = result.code
    if (result.kind === 'rejected') break
  }
  return answered === null ? { identity: undefined, code } : { identity: answered, grantedScopes: null }
}
