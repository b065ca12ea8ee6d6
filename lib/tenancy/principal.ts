/**
 * Who is asking. Every domain function that reads or changes a tenant's data takes one; the tenant of a query always
 * comes from here, never from the request.
 *
 * @module
 */
import type { AgentId, AgentSessionId, Id, PersonId, TenantId } from '../ids'

/** From most to least: owner ⊃ admin ⊃ member; auditor reads records and changes nothing. */
export type Role = 'owner' | 'admin' | 'member' | 'auditor'

export interface PersonPrincipal {
  readonly kind: 'person'
  readonly tenantId: TenantId
  readonly personId: PersonId
  readonly role: Role
  readonly webSessionId: Id<'webSession'>
  /** When the person last proved who they are; step-up compares it with now. */
  readonly authenticatedAt: Date
  /** The workspace whose issuer vouched for them in this session; null where they signed in themself. */
  readonly onlyTenantId?: TenantId | null
  /** Canonical client network (IPv4 address or IPv6 /64), for audit and limits. */
  readonly network: string
}

export interface ApiKeyPrincipal {
  readonly kind: 'api_key'
  readonly tenantId: TenantId
  readonly apiKeyId: Id<'apiKey'>
  readonly personId: PersonId
  readonly role: Role
  /** Names of the permission table that the key is for; null for everything its role may do. */
  readonly scopes: readonly string[] | null
  readonly network: string
}

/** The operator at the machine itself, through the local command line. */
export interface OperatorPrincipal {
  readonly kind: 'operator'
  readonly tenantId: TenantId
  readonly role: 'owner'
  readonly network: 'local'
}

export interface AgentPrincipal {
  readonly kind: 'agent'
  readonly tenantId: TenantId
  readonly agentId: AgentId
  readonly agentSessionId: AgentSessionId
  /** Whose session it is, when a person issued or approved it. */
  readonly personId: PersonId | null
  readonly scopes: readonly string[]
  readonly network: string
}

/** Somebody who may use the API and the pages. */
export type MemberPrincipal = PersonPrincipal | ApiKeyPrincipal | OperatorPrincipal
export type Principal = MemberPrincipal | AgentPrincipal
