/**
 * The format of an audit record, version 1, and the one place where records are made.
 *
 * Three kinds. An intent says that a call was about to act and what was decided; its outcome says how it ended; an event
 * is anything else. Columns hold ids, enumerations and digests. Free text is sealed. A person appears as a pseudonym.
 *
 * @module
 */
import { z } from 'zod'

import type { Clock } from '../clock'
import type { AgentId, AgentSessionId, CallId, ConnectionId, Id, PersonId, TenantId } from '../ids'
import { isId, newId } from '../ids'
import type { Principal } from '../tenancy/principal'
import type { EventAction } from './actions'
import { canonicalJson } from './canonical'
import type { TenantSeal } from './seal'

export const RECORD_FORMAT = 1

/** Larger arguments leave their digest alone. */
export const MAX_ARGUMENT_BYTES = 16_384
export const ARGUMENT_DAYS = 30

export type Decision = 'permit' | 'deny' | 'approval_required'
export type Outcome = 'success' | 'error' | 'denied' | 'cancelled' | 'expired' | 'unknown'
export type ActorKind = 'person' | 'agent' | 'api_key' | 'provider' | 'system' | 'anonymous'

export interface AuditActor {
  readonly kind: ActorKind
  readonly personId?: PersonId | undefined
  /** The session at a browser that the person acted in. Sealed: it leads to the person. */
  readonly webSessionId?: Id<'webSession'> | undefined
  readonly apiKeyId?: Id<'apiKey'> | undefined
  readonly agentId?: AgentId | undefined
  readonly agentSessionId?: AgentSessionId | undefined
}

/** Free facts about a record. Always sealed; never a credential. */
export type AuditDetail = Readonly<Record<string, string | number | boolean | null>>

/** A call about to act, with what was decided about it. */
export interface CallIntent {
  readonly tenantId: TenantId
  readonly callId: CallId
  readonly agentId: AgentId
  readonly agentSessionId: AgentSessionId
  readonly connectionId: ConnectionId | null
  /** Whose session the agent holds, when somebody's. */
  readonly personId: PersonId | null
  readonly tool: string
  /** The version of the profile that was decided by. */
  readonly profileVersion: number
  readonly decision: Decision
  /** A code such as `tool_not_allowed`. */
  readonly reason?: string | undefined
  /** The validated arguments, a JSON value. */
  readonly arguments: unknown
  readonly detail?: AuditDetail | undefined
  readonly network?: string | undefined
  /** Set on the second try after `stale`: a profile that changed once more is then a refusal. */
  readonly isFinal?: boolean | undefined
}

/** What the database says about an intent: the caller's decision, unless something forbids the call by now. */
export interface IntentAnswer {
  readonly decision: Decision | 'stale'
  /** `tenant_disabled`, `session_ended`, `agent_disabled`, `profile_changed`, `connection_blocked`, or the caller's own. */
  readonly reason: string | null
  /** The least generation of the credential that may be used. */
  readonly credentialGeneration: number | null
}

export interface CallOutcome {
  readonly tenantId: TenantId
  readonly callId: CallId
  readonly outcome: Outcome
  readonly reason?: string | undefined
  readonly durationMs: number
  readonly detail?: AuditDetail | undefined
}

export interface AuditEvent {
  readonly tenantId: TenantId
  readonly action: EventAction
  readonly actor: AuditActor
  /** The id of what was acted on, where no column of its own names it. */
  readonly targetId?: string | undefined
  readonly connectionId?: ConnectionId | undefined
  readonly agentId?: AgentId | undefined
  readonly agentSessionId?: AgentSessionId | undefined
  readonly outcome?: Outcome | undefined
  /** A code. Anything else is moved into the sealed part. */
  readonly reason?: string | undefined
  readonly detail?: AuditDetail | undefined
  readonly network?: string | undefined
}

/** Who acts when this principal does. */
export function actorOf(principal: Principal): AuditActor {
  switch (principal.kind) {
    case 'person':
      return { kind: 'person', personId: principal.personId, webSessionId: principal.webSessionId }
    case 'api_key':
      return { kind: 'api_key', apiKeyId: principal.apiKeyId }
    case 'operator':
      return { kind: 'system' }
    case 'agent':
      return {
        kind: 'agent',
        agentId: principal.agentId,
        agentSessionId: principal.agentSessionId,
        ...(principal.personId === null ? {} : { personId: principal.personId }),
      }
  }
}

/** Whom a pseudonym stands for. */
export interface Subject {
  readonly kind: 'person' | 'api_key'
  readonly id: string
}

export function subjectOf(actor: AuditActor): Subject | null {
  if (actor.apiKeyId !== undefined) return { kind: 'api_key', id: actor.apiKeyId }
  return actor.personId === undefined ? null : { kind: 'person', id: actor.personId }
}

const nullableText = z.string().max(200).nullable()
const instant = z.iso.datetime()

/**
 * An event on its way: in an outbox of either database, or in the spool. Everything but the pseudonym is final; that is
 * looked up when the record reaches its table, so that writing this needs no second table.
 */
export const eventRecordSchema = z.strictObject({
  format: z.literal(RECORD_FORMAT),
  id: z.string().refine((value) => isId('auditRecord', value)),
  tenantId: z.string().refine((value) => isId('tenant', value)),
  action: z.string().min(1).max(64),
  occurredAt: instant,
  actorKind: z.enum(['person', 'agent', 'api_key', 'provider', 'system', 'anonymous']),
  subject: z.strictObject({ kind: z.enum(['person', 'api_key']), id: z.string().max(64) }).nullable(),
  agentId: nullableText,
  agentSessionId: nullableText,
  connectionId: nullableText,
  targetId: nullableText,
  outcome: z.enum(['success', 'error', 'denied', 'cancelled', 'expired', 'unknown']).nullable(),
  reason: nullableText,
  keyVersion: z.int().nullable(),
  sealed: z.base64().nullable(),
})
export type EventRecord = z.infer<typeof eventRecordSchema>

/** An outcome as `audit_outcomes` takes it, and as the spool keeps it. */
export const outcomeRecordSchema = z.strictObject({
  record_id: z.string().refine((value) => isId('auditRecord', value)),
  call_id: z.string().refine((value) => isId('call', value)),
  tenant_id: z.string().refine((value) => isId('tenant', value)),
  outcome: z.enum(['success', 'error', 'denied', 'cancelled', 'expired', 'unknown']),
  reason: nullableText,
  duration_ms: z.int().nullable(),
  key_version: z.int().nullable(),
  sealed: z.base64().nullable(),
  occurred_at: instant,
})
export type OutcomeRecord = z.infer<typeof outcomeRecordSchema>

/** An intent as `audit_intents` takes it. */
export interface IntentRecord {
  readonly record_id: string
  readonly denial_id: string
  readonly call_id: string
  readonly tenant_id: string
  readonly agent_id: string
  readonly agent_session_id: string
  readonly connection_id: string | null
  readonly actor_pseudonym: string | null
  readonly tool: string
  readonly profile_version: number
  readonly decision: Decision
  readonly reason: string | null
  readonly argument_digest: string
  readonly key_version: number
  readonly sealed: string | null
  readonly arguments: string | null
  readonly arguments_expire_at: string | null
  readonly is_final: boolean
}

/** @throws TypeError when the arguments are not a JSON value */
export function toIntentRecord(
  call: CallIntent,
  seal: TenantSeal,
  pseudonym: string | null,
  clock: Clock,
): IntentRecord {
  const now = clock.now()
  const id = newId('auditRecord', now)
  const canonical = canonicalJson(call.arguments)
  const bytes = Buffer.from(canonical, 'utf8')
  const isKept = bytes.length <= MAX_ARGUMENT_BYTES
  const reason = codeOf(call.reason)
  return {
    record_id: id,
    denial_id: newId('auditRecord', now),
    call_id: call.callId,
    tenant_id: call.tenantId,
    agent_id: call.agentId,
    agent_session_id: call.agentSessionId,
    connection_id: call.connectionId,
    actor_pseudonym: pseudonym,
    tool: call.tool.slice(0, 64),
    profile_version: call.profileVersion,
    decision: call.decision,
    reason: reason.code,
    argument_digest: seal.digest(canonical).toString('base64'),
    key_version: seal.keyVersion,
    sealed: sealFreeFields(seal, id, { network: call.network, reason: reason.text, detail: call.detail }),
    arguments: isKept ? seal.seal('arguments', call.callId, bytes).toString('base64') : null,
    arguments_expire_at: isKept ? new Date(now.getTime() + ARGUMENT_DAYS * 86_400_000).toISOString() : null,
    is_final: call.isFinal ?? false,
  }
}

/** @param seal  null when the tenant's key cannot be had: the record is kept without its free fields */
export function toOutcomeRecord(outcome: CallOutcome, seal: TenantSeal | null, occurredAt: Date): OutcomeRecord {
  const id = newId('auditRecord', occurredAt)
  const reason = codeOf(outcome.reason)
  const sealed = seal && sealFreeFields(seal, id, { reason: reason.text, detail: outcome.detail })
  return {
    record_id: id,
    call_id: outcome.callId,
    tenant_id: outcome.tenantId,
    outcome: outcome.outcome,
    reason: reason.code,
    duration_ms: Number.isFinite(outcome.durationMs)
      ? Math.min(Math.max(Math.round(outcome.durationMs), 0), 2 ** 31 - 1)
      : null,
    key_version: sealed === null ? null : (seal?.keyVersion ?? null),
    sealed,
    occurred_at: occurredAt.toISOString(),
  }
}

/** @param seal  null when the tenant's key cannot be had: the record is kept without its free fields */
export function toEventRecord(
  event: AuditEvent,
  seal: TenantSeal | null,
  clock: Clock,
  id: Id<'auditRecord'> = newId('auditRecord', clock.now()),
): EventRecord {
  const now = clock.now()
  const reason = codeOf(event.reason)
  const sealed =
    seal &&
    sealFreeFields(seal, id, {
      network: event.network,
      session: event.actor.webSessionId,
      reason: reason.text,
      detail: event.detail,
    })
  return {
    format: RECORD_FORMAT,
    id,
    tenantId: event.tenantId,
    action: event.action,
    occurredAt: now.toISOString(),
    actorKind: event.actor.kind,
    subject: subjectOf(event.actor),
    agentId: event.agentId ?? event.actor.agentId ?? null,
    agentSessionId: event.agentSessionId ?? event.actor.agentSessionId ?? null,
    connectionId: event.connectionId ?? null,
    targetId: event.targetId === undefined ? null : printable(event.targetId).slice(0, 200),
    outcome: event.outcome ?? null,
    reason: reason.code,
    keyVersion: sealed === null ? null : (seal?.keyVersion ?? null),
    sealed,
  }
}

/** Whether an event has anything that must be sealed. */
export function hasFreeFields(event: Pick<AuditEvent, 'actor' | 'network' | 'reason' | 'detail'>): boolean {
  return (
    event.network !== undefined ||
    event.actor.webSessionId !== undefined ||
    event.detail !== undefined ||
    codeOf(event.reason).text !== undefined
  )
}

/** An id of somebody else's may hold what a text column refuses (a zero byte); the record may not fail for it. */
const printable = (text: string) => text.replace(/[^\x20-\x7e]/g, '?')

/** Long enough for a change of state: from, to, reason and cause. */
const CODE = /^[a-z0-9_.:-]{1,180}$/

/** A reason is a readable code; a sentence may say too much and is sealed instead. */
function codeOf(reason: string | undefined): { readonly code: string | null; readonly text?: string } {
  if (reason === undefined) return { code: null }
  return CODE.test(reason) ? { code: reason } : { code: 'other', text: reason }
}

interface FreeFields {
  readonly network?: string | undefined
  readonly session?: string | undefined
  readonly reason?: string | undefined
  readonly detail?: AuditDetail | undefined
}

const MAX_TEXT = 1_000
const MAX_DETAILS = 32
const shorten = (text: string) => (text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`)

/** Bounded, because a record may not be refused for its length. */
function sealFreeFields(seal: TenantSeal, id: string, fields: FreeFields): string | null {
  const detail = fields.detail === undefined ? [] : Object.entries(fields.detail)
  const { network, session, reason } = fields
  if (network === undefined && session === undefined && reason === undefined && detail.length === 0) return null
  const plain = {
    ...(network === undefined ? {} : { network: shorten(network) }),
    ...(session === undefined ? {} : { session: shorten(session) }),
    ...(reason === undefined ? {} : { reason: shorten(reason) }),
    ...(detail.length === 0
      ? {}
      : {
          detail: Object.fromEntries(
            detail
              .slice(0, MAX_DETAILS)
              .map(([name, value]) => [name.slice(0, 64), typeof value === 'string' ? shorten(value) : value]),
          ),
        }),
  }
  return seal.seal('record', id, Buffer.from(JSON.stringify(plain), 'utf8')).toString('base64')
}

/** The sealed part of a record, opened. */
export const freeFieldsSchema = z.object({
  network: z.string().optional(),
  session: z.string().optional(),
  reason: z.string().optional(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
})
export type OpenedFields = z.infer<typeof freeFieldsSchema>
