/**
 * "Does it work?", asked of one connection now: a valid token, renewed first if it is due, and the provider's own word on
 * whose it is. A use of a credential like any other: whoever may not use the connection gets no further, the intent is on
 * record before a credential is opened, and the outcome after. Nothing the provider says is passed on; the account is
 * named as we already know it.
 *
 * @module
 */
import type { Audit } from '../audit/audit'
import { actorOf } from '../audit/record'
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { isId, newId, type ConnectionId, type TenantId } from '../ids'
import type { Log } from '../log'
import type { IdentityResult, ProviderClient, Providers } from '../providers/client'
import type { Secret } from '../secret'
import { checkPermission } from '../tenancy/permission'
import type { MemberPrincipal } from '../tenancy/principal'
import type { CheckLimits } from './check-limits'
import { mayManage, maySee } from './view'

/** What the refresh engine has of this. */
export interface CheckTokens {
  accessToken(
    tenantId: TenantId,
    connectionId: ConnectionId,
    options: { readonly minGeneration: number },
  ): Promise<CheckToken>
  afterUnauthorized(
    tenantId: TenantId,
    connectionId: ConnectionId,
    usedGeneration: number,
    refusal?: { readonly documented?: 'expired' | 'revoked' },
  ): Promise<CheckToken>
}

interface CheckToken {
  readonly token: Secret
  readonly generation: number
}

export interface CheckDeps {
  readonly appDb: AppDb
  readonly tokens: CheckTokens
  /** The generation that is stored now; undefined when nothing is. */
  readonly generationOf: (tenantId: TenantId, connectionId: ConnectionId) => Promise<number | undefined>
  readonly providers: Pick<Providers, 'get' | 'list'>
  readonly audit: Pick<Audit, 'event' | 'never'>
  readonly limits: CheckLimits
  readonly clock: Clock
  readonly log: Log
  /** For the whole test, the renewal included. */
  readonly timeoutMs?: number
}

/** Who can do something about it. */
export type CheckAction = 'reconnect' | 'wait' | 'operator'

export interface CheckFailure {
  readonly code: string
  readonly words: string
  readonly action: CheckAction
}

export interface CheckResult {
  readonly ok: boolean
  /** As this workspace knows it. */
  readonly account: string
  /** How long the provider took to say whose account it is. Null: it was not asked, or did not answer. */
  readonly latencyMs: number | null
  /** A renewal was part of it. */
  readonly refreshed: boolean
  readonly failure: CheckFailure | null
}

const TIMEOUT_MS = 25_000

/** What is known of the connection when its test is allowed. */
interface Subject {
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly provider: string
  readonly providerApp: string
  readonly subject: string
  readonly account: string
  readonly generation: number
}

interface Findings {
  readonly latencyMs: number | null
  readonly refreshed: boolean
  readonly failure: CheckFailure | null
}

export function createCheck(deps: CheckDeps) {
  const { appDb, audit, limits, log, providers, tokens } = deps
  const timeoutMs = deps.timeoutMs ?? TIMEOUT_MS
  const nameOf = (provider: string) => providers.list().find(({ name }) => name === provider)?.displayName ?? provider

  /** Allows it and says so on record, in one transaction that also sees every block acknowledged before. */
  async function begin(principal: MemberPrincipal, connectionId: ConnectionId, testId: string) {
    const { tenantId } = principal
    return appDb.tenant(tenantId, async (tx): Promise<Subject | CheckFailure> => {
      await tx.$queryRaw`SELECT 1 FROM connection WHERE tenant_id = ${tenantId} AND id = ${connectionId} FOR SHARE`
      const row = await tx.connection.findFirst({ where: { tenantId, id: connectionId, access: { not: 'deleted' } } })
      if (row === null || !maySee(principal, row)) throw notFound()
      if (row.access !== 'allowed') return blocked()
      await audit.event(tx, {
        tenantId,
        action: 'connection.test_started',
        actor: actorOf(principal),
        connectionId,
        targetId: testId,
        network: principal.network,
      })
      return {
        tenantId,
        connectionId,
        provider: row.provider,
        providerApp: row.providerApp,
        subject: row.subject,
        account: row.accountLabel,
        generation: row.credentialGeneration,
      }
    })
  }

  async function ask(subject: Subject, signal: AbortSignal): Promise<Findings> {
    const { tenantId, connectionId, provider, generation } = subject
    const name = nameOf(provider)
    const client = providers.get(provider)
    // A token of another registration must not be sent as if it were this one's.
    if (client === undefined || client.app.key !== subject.providerApp)
      return { latencyMs: null, refreshed: false, failure: misconfigured(name) }
    const before = await deps.generationOf(tenantId, connectionId)
    const isNewer = (token: CheckToken) => before !== undefined && token.generation > before
    let token = await tokens.accessToken(tenantId, connectionId, { minGeneration: generation })
    let answer = await timed(client, token, signal)
    const refusal = answer.result.kind === 'rejected' ? answer.result.refusedToken : undefined
    if (refusal !== undefined) {
      token = await tokens.afterUnauthorized(tenantId, connectionId, token.generation, refusal)
      answer = await timed(client, token, signal)
    }
    return { latencyMs: answer.latencyMs, refreshed: isNewer(token), failure: judge(answer.result, subject, name) }
  }

  async function check(principal: MemberPrincipal, connectionId: string): Promise<CheckResult> {
    if (!isId('connection', connectionId)) throw notFound()
    const { tenantId } = principal
    const row = await appDb.tenant(tenantId, (tx) =>
      tx.connection.findFirst({
        where: { tenantId, id: connectionId, access: { not: 'deleted' } },
        select: { ownerPersonId: true, sharing: true, accountLabel: true },
      }),
    )
    if (row === null || !maySee(principal, row)) throw notFound()
    checkPermission(principal, 'connection.test')
    if (!mayManage(principal, row.ownerPersonId))
      throw new AppError('auth.forbidden', 'Only its owner or an administrator can test this account.')
    // Counted after it is known who asks: nobody uses up what is somebody else's.
    await limits.count(tenantId, connectionId)

    const testId = newId('request', deps.clock.now())
    const subject = await begin(principal, connectionId, testId)
    if ('code' in subject)
      return { ok: false, account: row.accountLabel, latencyMs: null, refreshed: false, failure: subject }

    const startedAt = performance.now()
    const found = await findings(subject)
    await audit.never(null, {
      tenantId,
      action: 'connection.tested',
      actor: actorOf(principal),
      connectionId,
      targetId: testId,
      outcome: found.failure === null ? 'success' : 'error',
      ...(found.failure === null ? {} : { reason: found.failure.code }),
      detail: { durationMs: Math.round(performance.now() - startedAt), refreshed: found.refreshed },
      network: principal.network,
    })
    return { ok: found.failure === null, account: subject.account, ...found }
  }

  /** Whatever happens becomes a finding: the outcome is recorded in every case. A renewal under way goes on by itself. */
  async function findings(subject: Subject): Promise<Findings> {
    const failed = (failure: CheckFailure): Findings => ({ latencyMs: null, refreshed: false, failure })
    const name = nameOf(subject.provider)
    const controller = new AbortController()
    let timer: NodeJS.Timeout | undefined
    try {
      return await Promise.race([
        ask(subject, controller.signal),
        new Promise<Findings>((resolve) => {
          timer = setTimeout(() => resolve(failed(late(name))), timeoutMs)
        }),
      ])
    } catch (error) {
      const failure = explain(error, name)
      if (failure.code === 'internal') log.error({ err: error, connectionId: subject.connectionId }, 'A test failed.')
      return failed(failure)
    } finally {
      clearTimeout(timer)
      controller.abort()
    }
  }

  return { check }
}

export type Check = ReturnType<typeof createCheck>['check']

async function timed(client: ProviderClient, { token }: CheckToken, signal: AbortSignal) {
  const startedAt = performance.now()
  const result = await client.identify(token, { signal })
  return { result, latencyMs: Math.round(performance.now() - startedAt) }
}

function judge(result: IdentityResult, subject: Subject, name: string): CheckFailure | null {
  switch (result.kind) {
    case 'known':
      return result.identity.subject === subject.subject
        ? null
        : {
            code: 'other_account',
            words: `${name} says that this access belongs to another account than the one that was connected. Disconnect it and connect the right one.`,
            action: 'reconnect',
          }
    case 'rejected':
      return result.refusedToken === undefined ? rejected(name) : unauthorized(name)
    case 'weather':
      return result.retryAfterSeconds === undefined ? unavailable(name) : limited(name)
  }
}

function explain(error: unknown, name: string): CheckFailure {
  const code = error instanceof AppError ? error.code : 'internal'
  switch (code) {
    case 'connection.reauthorization_required':
      return unauthorized(name)
    case 'connection.already_revoked':
    case 'resource.not_found':
      return { code: 'access_ended', words: 'The access was withdrawn. Reconnect the account.', action: 'reconnect' }
    case 'connection.not_ready':
      return { code: 'not_ready', words: 'The account is being connected. Test again in a moment.', action: 'wait' }
    case 'provider.rejected':
      return rejected(name)
    case 'provider.rate_limited':
      return limited(name)
    case 'provider.misconfigured':
      return misconfigured(name)
    case 'provider.unavailable':
    case 'egress.timeout':
    case 'egress.too_large':
    case 'egress.refused':
      return unavailable(name)
    case 'vault.unreadable':
      return {
        code: 'credential_unreadable',
        words:
          'The stored credential could not be opened, so nothing was sent. The operator of this server has been told.',
        action: 'operator',
      }
    case 'vault.key_unavailable':
    case 'service.unavailable':
      return {
        code: 'service_unavailable',
        words: 'This server cannot use credentials at the moment. Its operator has been told; nothing is lost.',
        action: 'operator',
      }
    default:
      return { code: 'internal', words: 'Something went wrong on our side. Test again later.', action: 'wait' }
  }
}

const blocked = (): CheckFailure => ({
  code: 'connection_blocked',
  words: 'This account is blocked here, so nothing was sent to its provider.',
  action: 'reconnect',
})
const unauthorized = (name: string): CheckFailure => ({
  code: 'reauthorization_required',
  words: `${name} no longer accepts our access. Reconnect the account.`,
  action: 'reconnect',
})
const rejected = (name: string): CheckFailure => ({
  code: 'provider_rejected',
  words: `${name} refused, with an answer that does not say why. Test again in a while; if it stays so, reconnect the account.`,
  action: 'wait',
})
const unavailable = (name: string): CheckFailure => ({
  code: 'provider_unavailable',
  words: `${name} does not answer as it should. We keep trying by ourselves; nothing is lost.`,
  action: 'wait',
})
const limited = (name: string): CheckFailure => ({
  code: 'provider_rate_limited',
  words: `${name} asks to slow down. Test again in a few minutes.`,
  action: 'wait',
})
const late = (name: string): CheckFailure => ({
  code: 'provider_slow',
  words: `${name} took too long. A renewal under way goes on by itself; look again in a minute.`,
  action: 'wait',
})
const misconfigured = (name: string): CheckFailure => ({
  code: 'provider_misconfigured',
  words: `This server’s app at ${name} is not set up right. Its operator has to repair that; reconnecting does not help.`,
  action: 'operator',
})
