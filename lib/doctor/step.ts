/**
 * One step of a client on its way to an agent: what it fetched or sent, and what it was told.
 *
 * An observation is made where a request is answered and holds only what may be shown, with one exception: the hash of a
 * credential that was refused, by which the recorder finds out why before it forgets it.
 *
 * @module
 */
import type { AgentId, TenantId } from '../ids'

export const STEPS = [
  'resource_metadata',
  'server_metadata',
  'registration',
  'authorization',
  'consent',
  'token',
  'mcp',
] as const
export type StepKind = (typeof STEPS)[number]

export const PROBLEMS = [
  // At the agent's URL.
  'no_credentials',
  'not_a_bearer',
  'credential_in_url',
  'foreign_token',
  'refresh_token_as_bearer',
  'api_key_as_bearer',
  'token_unknown',
  'token_expired',
  'other_agent',
  'session_ended',
  'session_expired',
  'agent_disabled',
  'person_gone',
  'insufficient_scope',
  'host_refused',
  'origin_refused',
  'http_method',
  'content_type',
  'accept',
  'too_large',
  'not_json',
  'version_unknown',
  'headers_disagree',
  'not_a_request',
  'method_unknown',
  'mcp_session_unknown',
  'too_many_streams',
  // At the authorization server.
  'registration_refused',
  'unknown_client',
  'client_not_proven',
  'redirect_mismatch',
  'pkce_missing',
  'pkce_method',
  'wrong_resource',
  'scope_refused',
  'response_type',
  'denied',
  'consent_over',
  'code_unknown',
  'code_expired',
  'code_used',
  'pkce_mismatch',
  'redirect_changed',
  'client_changed',
  'refresh_unknown',
  'refresh_expired',
  'refresh_used',
  'grant_type',
  'rate_limited',
  'malformed',
  'fault',
  'other',
] as const
export type Problem = (typeof PROBLEMS)[number]

export function isProblem(value: string): value is Problem {
  return PROBLEMS.some((problem) => problem === value)
}

/** What is shown of a step, beside its outcome. Every value went through `shown.ts`. */
export type Detail = Readonly<Partial<Record<DetailKey, string>>>
export const DETAILS = [
  'method',
  'tool',
  'protocolVersion',
  'resource',
  'clientName',
  'clientId',
  'redirect',
  'scope',
  'grant',
  'credential',
  'origin',
  'host',
  'contentType',
  'accept',
  'session',
  'error',
  'reason',
] as const
export type DetailKey = (typeof DETAILS)[number]

/** Leaves out what is not there. */
export function detailOf(values: Readonly<Partial<Record<DetailKey, string | undefined>>>): Detail {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** A refused credential, to be looked up. Of the request only what its stored counterpart is compared with. */
export type RefusedCredential =
  | { readonly kind: 'session_key' | 'access_token'; readonly hash: Buffer }
  | {
      readonly kind: 'code'
      readonly hash: Buffer
      readonly clientId: string | undefined
      readonly redirectUri: string | undefined
      /** S256 of the verifier that was sent. */
      readonly challenge: string | undefined
    }
  | { readonly kind: 'refresh_token'; readonly hash: Buffer; readonly clientId: string | undefined }

export interface Observation {
  readonly step: StepKind
  readonly at: Date
  readonly network: string
  /** Name and version of the program, as far as it says. */
  readonly client: string | undefined
  readonly status: number
  readonly problem?: Problem | undefined
  readonly detail: Detail
  /** Undefined: to be found by the credential, or by what the same network asked about before. */
  readonly agentId?: AgentId | undefined
  readonly tenantId?: TenantId | undefined
  readonly credential?: RefusedCredential | undefined
}

/** Takes note of a step. Never throws, never waits; under pressure it forgets. */
export type Observe = (observation: Observation) => void

/** Nothing that only shows what happens may end it: whatever fails in making an observation is lost with it. */
export function quietly(work: () => void): void {
  try {
    work()
  } catch {
    // there is nobody to tell: the request goes on as if nobody had looked
  }
}
