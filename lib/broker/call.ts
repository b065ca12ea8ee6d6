/**
 * The one chokepoint. No tool call reaches a credential but through here, in this order:
 *
 *     arguments validated → account chosen → decided → intent committed → credential opened → scopes checked → sent
 *       → answer capped, shaped and scrubbed → outcome recorded
 *
 * Nothing is sent unless its intent was committed as permitted by the database, which sees every revocation that was
 * acknowledged before. A refusal is recorded like a permit. What a call returns holds no run of the credential it used.
 *
 * @module
 */
import type { Audit } from '../audit/audit'
import type { Clock } from '../clock'
import type { ProviderName } from '../config'
import type { AppDb } from '../db/app-db'
import type { Egress } from '../egress/egress'
import { AppError } from '../errors'
import { newId, type CallId } from '../ids'
import type { Log } from '../log'
import { decide, scopesUpTo, type SessionScope } from '../policy/decide'
import type { ProviderClient, Providers } from '../providers/client'
import { coversScope } from '../providers/scopes'
import type { AccessToken, Refresher } from '../refresh/refresher'
import type { AgentPrincipal } from '../tenancy/principal'
import { decodeCursor, encodeCursor } from '../tools/cursor'
import { InvalidArgument } from '../tools/invalid-argument'
import type { CompiledTool, ToolListing, ToolRegistry } from '../tools/registry'
import type { ProviderRequest, Tool, ToolApi } from '../tools/tool'
import { checkArguments } from './arguments'
import { createDirectory, type Account, type AgentView } from './directory'
import {
  CallFailure,
  cancelled,
  createLinks,
  failureOf,
  missingAccount,
  missingScope,
  needsReconnect,
  rateLimited,
  unavailable,
} from './failure'
import { createCallLimiter, type CallLimits } from './limit'
import { buildRequest } from './provider-request'
import { accessEnded, createRunningCalls } from './running'
import { createScrubber, type Scrubber } from './scrub'
import { createTroubleDesk } from './trouble'

export type ToolResult =
  | { readonly kind: 'success'; readonly structured: Readonly<Record<string, unknown>>; readonly text: string }
  /** Listed, and did not succeed: the text says what to do about it, and `connectUrl` where, when a person can. */
  | { readonly kind: 'error'; readonly text: string; readonly connectUrl?: string }
  /** Not in this agent's list, whether or not there is such a tool. */
  | { readonly kind: 'unknown_tool' }
  /** Allowed by the profile, but this session was given less: with these scopes it could be called. */
  | { readonly kind: 'insufficient_scope'; readonly scopes: readonly SessionScope[] }
  /** The session ended, or its agent or workspace was disabled, since it was looked up. */
  | { readonly kind: 'unauthenticated' }

export interface CallOptions {
  readonly signal?: AbortSignal
  /** Told after each answer of the provider, with their number so far. */
  readonly onProgress?: (answers: number) => void
}

export interface Broker {
  /** @throws AppError `audit.unavailable` when the intent cannot be written: nothing was sent */
  call(principal: AgentPrincipal, name: string, args: unknown, options: CallOptions): Promise<ToolResult>
  /** Whether `call` would be permitted by what is known now. Records nothing: for waiting until an account is there. */
  isReady(principal: AgentPrincipal, name: string, args: unknown): Promise<boolean>
  /** What `call` would let through, in a stable order. */
  list(principal: AgentPrincipal): Promise<readonly ToolListing[]>
}

export interface BrokerDependencies {
  readonly audit: Pick<Audit, 'intent' | 'outcome'>
  readonly refresher: Pick<Refresher, 'accessToken' | 'afterUnauthorized'>
  readonly providers: Pick<Providers, 'get'>
  readonly egress: Pick<Egress, 'request'>
  readonly appDb: AppDb
  readonly registry: ToolRegistry
  readonly publicUrl: string
  readonly clock: Clock
  readonly log: Log
  readonly limits?: CallLimits
  /** From the first request to the last answer of one call. */
  readonly timeoutMs?: number
}

const CALL_TIMEOUT_MS = 45_000
const MAX_REQUESTS = 40
const MAX_ANSWER_BYTES = 2_000_000
const MAX_RESULT_LENGTH = 150_000
const LIMITS: CallLimits = { perAgent: 100, perTenant: 400 }

/** A call whose arguments, account and decision are settled. */
interface Judged {
  readonly tool: Tool
  readonly args: Record<string, unknown>
  readonly account: Account
  /** What was asked for, to judge it again. */
  readonly given: unknown
  readonly profileVersion: number
}
type Judgement =
  | { readonly kind: 'permit'; readonly call: Judged }
  /** `tool` is recorded; undefined for a name we do not know, which may be any text. */
  | {
      readonly kind: 'deny'
      readonly reason: string
      readonly result: ToolResult
      readonly tool?: string
      readonly account?: Account
    }

export function createBroker(deps: BrokerDependencies): Broker {
  const { audit, refresher, providers, egress, registry, clock, log } = deps
  const directory = createDirectory({ appDb: deps.appDb, registry, clock })
  const limiter = createCallLimiter(deps.limits ?? LIMITS)
  const links = createLinks(deps.publicUrl)
  const desk = createTroubleDesk({ appDb: deps.appDb, links, clock, log })
  const running = createRunningCalls({ appDb: deps.appDb, log })
  const timeoutMs = deps.timeoutMs ?? CALL_TIMEOUT_MS

  /** Everything that can be known before anything is recorded. */
  function judge(view: AgentView, principal: AgentPrincipal, name: string, given: unknown): Judgement {
    const compiled = registry.get(name)
    if (compiled === undefined) return { kind: 'deny', reason: 'unknown_tool', result: { kind: 'unknown_tool' } }
    const { tool } = compiled
    const request = { tool: name, readOnly: tool.annotations.readOnly, sessionScopes: principal.scopes }
    const decision = decide(request, view.profile)
    if (decision.effect === 'deny') {
      const result: ToolResult =
        decision.reason === 'session_scope'
          ? { kind: 'insufficient_scope', scopes: scopesUpTo(decision.needed) }
          : { kind: 'unknown_tool' }
      return { kind: 'deny', reason: decision.reason, tool: name, result }
    }
    const refuse = (reason: string, text: string, account?: Account, connectUrl?: string): Judgement => ({
      kind: 'deny',
      reason,
      tool: name,
      result: errorResult(text, connectUrl),
      ...(account === undefined ? {} : { account }),
    })

    const parsed = parseArguments(compiled, given)
    if (typeof parsed === 'string') return refuse('invalid_arguments', `Input validation error: ${parsed}`)
    const chosen = chooseAccount(view.accountsOf(tool.provider), parsed.account, tool.provider)
    if (chosen.kind === 'invalid') return refuse('invalid_arguments', `Input validation error: ${chosen.problem}`)
    if (chosen.kind === 'missing') {
      const { reason, text, connectUrl } = missingAccount(tool.provider, links)
      return refuse(reason, text, undefined, connectUrl)
    }
    if (!chosen.account.isAllowed) {
      const { reason, text, connectUrl } = needsReconnect(chosen.account, tool.provider, links, 'connection_blocked')
      return refuse(reason, text, chosen.account, connectUrl)
    }
    const call = { args: parsed.args, resources: tool.resources ?? {} }
    const ruled = decide({ ...request, call }, view.profile)
    if (ruled.effect === 'deny')
      return ruled.reason === 'rule'
        ? refuse(`rule:${ruled.rule.id}`, brokenRule(ruled.rule), chosen.account)
        : refuse(ruled.reason, 'The permissions of this agent do not allow this.', chosen.account)
    return {
      kind: 'permit',
      call: { tool, args: parsed.args, account: chosen.account, given, profileVersion: view.profile.version },
    }
  }

  async function call(
    principal: AgentPrincipal,
    name: string,
    given: unknown,
    options: CallOptions,
    hasRoom: boolean,
  ): Promise<ToolResult> {
    for (let isFinal = false; ; isFinal = true) {
      const view = await directory.view(principal)
      const judged = judge(view, principal, name, given)
      const judgement = hasRoom || judged.kind === 'deny' ? judged : crowded(judged.call)
      const callId = newId('call', clock.now())
      const account = judgement.kind === 'permit' ? judgement.call.account : judgement.account
      const answer = await audit.intent({
        tenantId: principal.tenantId,
        callId,
        agentId: principal.agentId,
        agentSessionId: principal.agentSessionId,
        connectionId: account?.connectionId ?? null,
        personId: principal.personId,
        tool: judgement.kind === 'permit' ? judgement.call.tool.name : (judgement.tool ?? 'unknown'),
        profileVersion: view.profile.version,
        decision: judgement.kind,
        ...(judgement.kind === 'deny' ? { reason: judgement.reason } : {}),
        arguments: judgement.kind === 'permit' ? judgement.call.args : recordable(given),
        network: principal.network,
        isFinal,
      })
      if (answer.decision === 'stale' && !isFinal) {
        directory.forget(principal)
        continue
      }
      if (answer.decision === 'permit' && judgement.kind === 'permit')
        return run(principal, judgement.call, callId, answer.credentialGeneration ?? 0, options)
      return refusal(judgement, answer.reason, principal)
    }
  }

  /** What the database's own reasons mean; else the reason this call was judged by. */
  async function refusal(judgement: Judgement, reason: string | null, principal: AgentPrincipal): Promise<ToolResult> {
    const isNews = judgement.kind === 'permit' || judgement.reason !== reason
    if (isNews) directory.forget(principal) // the database knows better than what is remembered
    if (reason === 'session_ended' || reason === 'agent_disabled' || reason === 'tenant_disabled')
      return { kind: 'unauthenticated' }
    if (judgement.kind === 'deny') {
      const { account, result } = judgement
      if (account === undefined || result.kind !== 'error') return result
      return {
        ...result,
        text: await desk.wordsFor(principal, account, { reason: judgement.reason, text: result.text }),
      }
    }
    const { account, tool } = judgement.call
    if (reason === 'connection_not_shared')
      return errorResult(
        `The account "${account.label}" is not shared with you any more. List the tools again and use another.`,
      )
    if (reason === 'connection_blocked') {
      const failure = needsReconnect(account, tool.provider, links, reason)
      return errorResult(await desk.wordsFor(principal, account, failure), failure.connectUrl)
    }
    return {
      kind: 'error',
      text: 'The permissions of this agent are being changed. List the tools again, then try again.',
    }
  }

  async function run(
    principal: AgentPrincipal,
    judged: Judged,
    callId: CallId,
    minGeneration: number,
    { signal: client, onProgress }: CallOptions,
  ): Promise<ToolResult> {
    const { tool, args, account } = judged
    const startedAt = performance.now()
    const watched = running.enter(
      {
        callId,
        principal,
        connectionId: account.connectionId,
        profileVersion: judged.profileVersion,
        rejudge: () => rejudge(principal, judged),
      },
      client,
    )
    const { signal } = watched
    let isSent = false
    const scrubber = createScrubber()
    const end = (outcome: 'success' | 'error' | 'cancelled' | 'unknown', reason?: string) =>
      audit.outcome({
        tenantId: principal.tenantId,
        callId,
        outcome,
        ...(reason === undefined ? {} : { reason }),
        durationMs: performance.now() - startedAt,
      })
    try {
      const client = providers.get(tool.provider)
      if (client === undefined) throw new AppError('provider.misconfigured', 'This provider is not set up.')
      if (signal.aborted) throw cancelled(false)
      const token = await refresher.accessToken(principal.tenantId, account.connectionId, { minGeneration })
      // Renewing may have taken long; what ended meanwhile is not begun.
      if (watched.endedBy !== undefined) throw cancelled(false)
      scrubber.add(token.token.reveal())
      const exchange = createExchange({
        principal,
        tool,
        account,
        client,
        token,
        scrubber,
        signal,
        startedAt,
        onProgress,
      })
      checkScopes(tool, client, token, account)
      isSent = true
      const structured = await tool.run(args, {
        send: exchange.send,
        page: typeof args['cursor'] === 'string' ? decodeCursor(tool.name, args, args['cursor']) : undefined,
        cursor: (state) => encodeCursor(tool.name, args, state),
        callId,
      } satisfies ToolApi)
      const result = shape(structured, scrubber)
      end('success')
      return result
    } catch (error) {
      const explained = explain(error, tool, account, callId)
      const isAborted = watched.endedBy !== undefined && explained.reason === 'client_disconnected'
      const failure = isAborted ? accessEnded(watched.endedBy, isSent) : explained
      end(failure.outcome, failure.reason)
      const text = await desk.wordsFor(principal, account, failure)
      return errorResult(scrubber.text(text), failure.connectUrl)
    } finally {
      watched.leave()
    }
  }

  /** The version of the profile that permits a call under way, or undefined when the profile of now does not. */
  async function rejudge(principal: AgentPrincipal, { tool, given, account }: Judged): Promise<number | undefined> {
    directory.forget(principal)
    const view = await directory.view(principal)
    const judgement = judge(view, principal, tool.name, given)
    const isSame = judgement.kind === 'permit' && judgement.call.account.connectionId === account.connectionId
    return isSame ? view.profile.version : undefined
  }

  function shape(structured: Record<string, unknown>, scrubber: Scrubber): ToolResult {
    const text = JSON.stringify(structured)
    if (text.length > MAX_RESULT_LENGTH)
      throw new CallFailure(
        'answer_too_large',
        'The answer is too large. Ask for less: a lower limit or a narrower search.',
      )
    // One pass over the serialized answer finds a credential anywhere in it; only then is it taken apart.
    if (scrubber.text(text) === text && !hasHiddenRun(structured, scrubber))
      return { kind: 'success', structured, text }
    log.warn({}, 'a provider echoed a credential; it was removed')
    const clean = Object.fromEntries(Object.entries(structured).map(([name, value]) => [name, scrubber.value(value)]))
    return { kind: 'success', structured: clean, text: JSON.stringify(clean) }
  }

  /** Every request of one call: the same token, at most one refresh, and a common deadline. */
  function createExchange(context: {
    readonly principal: AgentPrincipal
    readonly tool: Tool
    readonly account: Account
    readonly client: ProviderClient
    readonly token: AccessToken
    readonly scrubber: Scrubber
    readonly signal: AbortSignal
    readonly startedAt: number
    readonly onProgress: CallOptions['onProgress']
  }): Pick<ToolApi, 'send'> {
    const { principal, tool, account, client, scrubber, signal } = context
    const provider = tool.provider
    const deadline = context.startedAt + timeoutMs
    let token = context.token
    let refreshed: Promise<AccessToken> | undefined
    let requests = 0
    let answers = 0

    const attempt = async (request: ProviderRequest) => {
      const used = token
      const left = deadline - performance.now()
      if (left <= 0) throw unavailable(provider, 'timeout', false)
      requests += 1
      if (requests > MAX_REQUESTS)
        throw new CallFailure('too_many_requests', 'This needs too many requests. Ask for less.')
      const { url, headers, body } = buildRequest(request, client.apiUrl(request.path), used.token.reveal())
      const response = await egress.request(url, {
        method: request.method,
        headers,
        ...(body === undefined ? {} : { body }),
        maxBytes: request.maxBytes ?? MAX_ANSWER_BYTES,
        timeoutMs: Math.ceil(left),
        signal,
      })
      const answer = { status: response.status, headers: response.headers, json: parseJson(response.body) }
      return { used, answer, verdict: client.definition.judgeApi(answer, clock.now()) }
    }

    return {
      send: async (request) => {
        let { used, answer, verdict } = await attempt(request)
        // Refused before it had an effect, so it may be sent once more with a newer token.
        if (verdict.kind === 'unauthorized' && (refreshed === undefined || used.generation < token.generation)) {
          const { documented } = verdict
          refreshed ??= refresher.afterUnauthorized(
            principal.tenantId,
            account.connectionId,
            used.generation,
            documented === undefined ? {} : { documented },
          )
          token = await refreshed
          scrubber.add(token.token.reveal())
          ;({ used, answer, verdict } = await attempt(request))
        }
        answers += 1
        context.onProgress?.(answers)
        switch (verdict.kind) {
          case 'ok':
            return answer
          case 'refused':
            if (request.expected?.includes(verdict.status) === true) return { ...answer, status: verdict.status }
            // Even a code may be an echo; what is recorded is scrubbed as what is answered.
            throw new CallFailure(
              scrubber.text(verdict.code) === verdict.code
                ? `provider_${verdict.code.toLowerCase()}`
                : 'provider_refused',
              verdict.text,
            )
          case 'scope':
            throw missingScope(account, provider, links, verdict.needed.length > 0 ? verdict.needed : tool.scopes.least)
          case 'rate_limited':
            throw rateLimited(provider, verdict.retryAfterSeconds)
          case 'unauthorized':
            throw needsReconnect(account, provider, links, 'provider_unauthorized')
          case 'unavailable':
            throw unavailable(
              provider,
              `provider_${verdict.code}`,
              request.method !== 'GET' && !tool.annotations.readOnly,
            )
        }
      },
    }
  }

  function checkScopes(tool: Tool, client: ProviderClient, token: AccessToken, account: Account): void {
    // Some tokens carry permissions of another kind and name no scope at all; there the provider's own answer decides.
    const rules = client.definition.scopes
    if (rules.unnamedPrefixes.length > 0 && token.grantedScopes.length === 0) return
    const isCovered = tool.scopes.anyOf.some((set) =>
      set.every((scope) => coversScope(rules, token.grantedScopes, scope)),
    )
    if (!isCovered) throw missingScope(account, tool.provider, links, tool.scopes.least)
  }

  function explain(error: unknown, tool: Tool, account: Account, callId: CallId): CallFailure {
    const isWrite = !tool.annotations.readOnly
    const failure = failureOf(error, { account, provider: tool.provider, links, isWrite })
    if (failure !== undefined) return failure
    if (error instanceof InvalidArgument)
      return new CallFailure('invalid_arguments', `Input validation error: ${error.message}`)
    if (error instanceof AppError && error.code === 'request.invalid')
      return new CallFailure('invalid_arguments', `Input validation error: ${error.message}`)
    // Shapers parse what a provider answered; an answer of another shape comes after the effect.
    if (error instanceof Error && error.name === 'ZodError')
      return unavailable(tool.provider, 'unexpected_answer', isWrite)
    log.error({ err: error, callId, tool: tool.name }, 'a tool call failed')
    return new CallFailure(
      'internal',
      'Something went wrong on our side. Try again later.',
      isWrite ? 'unknown' : 'error',
    )
  }

  return {
    async call(principal, name, args, options) {
      const leave = limiter.enter(principal.tenantId, principal.agentId)
      try {
        return await call(principal, name, args, options, leave !== undefined)
      } finally {
        leave?.()
      }
    },
    async isReady(principal, name, args) {
      directory.forget(principal)
      const judgement = judge(await directory.view(principal), principal, name, args)
      return judgement.kind === 'permit' && judgement.call.account.seemsWorking
    },
    async list(principal) {
      return (await directory.view(principal)).list(principal.scopes)
    },
  }
}

/** Serializing writes some characters as escapes, which would split a run that a credential with such characters makes. */
function hasHiddenRun(structured: Record<string, unknown>, scrubber: Scrubber): boolean {
  return scrubber.needsDeepScan && JSON.stringify(scrubber.value(structured)) !== JSON.stringify(structured)
}

/** @returns the arguments, or what is wrong with the first of them; values are never repeated */
function parseArguments(
  { tool }: CompiledTool,
  given: unknown,
): string | { readonly args: Record<string, unknown>; readonly account: unknown } {
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given)))
    return 'arguments: must be an object'
  const problem = checkArguments(given)
  if (problem !== undefined) return problem
  const { account, ...rest } = { ...given } as Record<string, unknown> // an object, as was just established
  const parsed = tool.input.safeParse(rest)
  if (parsed.success) return { args: parsed.data, account }
  return parsed.error.issues
    .slice(0, 3)
    .map((issue) => {
      if (issue.code === 'unrecognized_keys') return `${cleanName(issue.keys[0])}: is not an argument of this tool`
      const path = issue.path.map((part) => cleanName(String(part))).join('.')
      return path === '' ? issue.message : `${path}: ${issue.message}`
    })
    .join('; ')
}

const cleanName = (name: string | undefined) => (name ?? '').replace(/[^A-Za-z0-9_.-]/g, '?').slice(0, 64)

type Choice =
  | { readonly kind: 'chosen'; readonly account: Account }
  | { readonly kind: 'missing' }
  | { readonly kind: 'invalid'; readonly problem: string }

/** One account needs no name; several need one. A name is looked for among the blocked ones too, to say what to do. */
function chooseAccount(accounts: readonly Account[], wanted: unknown, provider: ProviderName): Choice {
  if (accounts.length === 0) return { kind: 'missing' }
  if (wanted === undefined) {
    const usable = accounts.filter(({ isAllowed }) => isAllowed)
    const [only, ...others] = usable.length === 0 ? accounts : usable
    if (only !== undefined && (others.length === 0 || usable.length === 0)) return { kind: 'chosen', account: only }
    return {
      kind: 'invalid',
      problem: `account: say which ${provider} account to use: ${usable.map(({ label }) => JSON.stringify(label)).join(', ')}`,
    }
  }
  const account = accounts.find(({ label }) => label === wanted)
  if (account !== undefined) return { kind: 'chosen', account }
  const labels = accounts.map(({ label }) => JSON.stringify(label)).join(', ')
  return { kind: 'invalid', problem: `account: must be one of ${labels}` }
}

/** The same arguments would be refused again, and an agent that is told so does not try. */
const brokenRule = ({ id, words }: { readonly id: string; readonly words: string }) =>
  `Refused by the rule "${id}" of this agent: ${words}. Do not repeat this call unchanged; ask the person if it should be allowed.`

const errorResult = (text: string, connectUrl?: string): ToolResult => ({
  kind: 'error',
  text,
  ...(connectUrl === undefined ? {} : { connectUrl }),
})

/** A call there is no room for is a refusal like any other, and recorded. */
const crowded = ({ tool, account }: Judged): Judgement => ({
  kind: 'deny',
  reason: 'too_many_calls',
  tool: tool.name,
  account,
  result: { kind: 'error', text: 'Too many calls of this agent are under way. Try again in a moment.' },
})

/** What a refused call may leave in the record: its arguments, unless they are what was refused for their size. */
function recordable(given: unknown): unknown {
  return given === undefined || checkArguments(given) !== undefined ? null : given
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
