/**
 * The question a person is asked before a client gets an agent, and their answer.
 *
 * What is shown is worked out anew for the answer and must be the same: the page carries a proof over person, browser
 * session, client as described, address, agent and scopes. A client whose document changed meanwhile, a forged form and
 * somebody else's page all fail on it. Approval makes the agent session, its grant and its record in one transaction.
 *
 * Nothing is ever approved without this, and nothing here leads on into a provider's consent: missing accounts are named
 * and connected in a step of their own.
 *
 * @see RFC 9700 §4.14–4.15, MCP security best practices (confused deputy)
 * @module
 */
import type Provider from 'oidc-provider'

import { canonicalJson } from '../audit/canonical'
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { AppError } from '../errors'
import { openTenantsOf } from '../identity/entry'
import { brand, hashSecret, newId, newSecret, type AgentId, type Id, type PersonId, type TenantId } from '../ids'
import type { SessionScope } from '../policy/decide'
import type { TenancyAudit } from '../tenancy/agents'
import { isPermitted } from '../tenancy/permission'
import { parseRole } from '../tenancy/role'
import { holdLiveSession } from '../tenancy/quotas'
import type { GrantStore } from './adapter'
import type { ClientFacts, OauthClients } from './clients/clients'
import { isDocumentId } from './clients/document'
import { isLocalOnly } from './clients/normalise'
import type { OauthKeys } from './keys'
import { DAY_SECONDS, lifetimesIn } from './lifetimes'
import { PATHS } from './metadata'
import { CODE_SECONDS } from './provider'
import { agentOfResource, resourceOf } from './resource'
import { grantableScopes } from './scopes'

export interface ConsentVisitor {
  readonly personId: PersonId
  readonly webSessionId: Id<'webSession'>
  readonly network: string
}

/** What the agent could do for this person, as far as the asked scopes go. */
export interface AccessPreview {
  readonly tools: readonly {
    readonly name: string
    readonly title: string
    readonly provider: string
    readonly isReadOnly: boolean
  }[]
  readonly accounts: readonly { readonly provider: string; readonly label: string; readonly isUsable: boolean }[]
  /** Providers some tool needs and no usable account is there for. */
  readonly missingProviders: readonly string[]
}

export interface ClientCard {
  /** What the client calls itself; nobody checked it. */
  readonly name: string
  /** Where its description comes from, when it is an address. */
  readonly idHost: string | null
  readonly source: 'document' | 'registered' | 'manual'
  readonly redirectUri: string
  /** The full host the answer goes to, or the scheme of an application on this device. */
  readonly redirectHost: string
  /** Every way back leads to this device, where any program can take the answer. */
  readonly isLocalOnly: boolean
}

export type RefusalReason = 'no_agent' | 'several_agents' | 'no_access' | 'role' | 'foreign_client'

export type ConsentView =
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly client: ClientCard }
  | {
      readonly kind: 'ask'
      readonly client: ClientCard
      readonly person: { readonly name: string; readonly email: string }
      readonly workspace: { readonly id: TenantId; readonly name: string }
      readonly agent: { readonly id: AgentId; readonly name: string }
      readonly scopes: readonly SessionScope[]
      readonly access: AccessPreview
      readonly idleDays: number
      readonly absoluteDays: number
      /** To be sent back with an approval. */
      readonly proof: string
    }

export interface Consents {
  /** @throws AppError `resource.not_found` when there is no such request under way */
  describe(uid: string, visitor: ConsentVisitor): Promise<ConsentView>
  /**
   * @returns where the browser goes on: to the library, which answers the client
   * @throws AppError `auth.forbidden` when the proof is not for what would be granted, `resource.conflict` when it was answered before
   */
  answer(
    uid: string,
    visitor: ConsentVisitor,
    answer: { readonly decision: 'approve'; readonly proof: string } | { readonly decision: 'deny' },
  ): Promise<{ readonly next: string }>
}

export interface ConsentDependencies {
  readonly publicUrl: string
  readonly provider: Provider
  readonly grants: GrantStore
  readonly clients: Pick<OauthClients, 'facts' | 'noteApproval'>
  readonly appDb: AppDb
  readonly audit: TenancyAudit
  readonly keys: Pick<OauthKeys, 'prove' | 'isProof'>
  readonly clock: Clock
  readonly preview: (
    input: { readonly tenantId: TenantId; readonly agentId: AgentId; readonly personId: PersonId },
    scopes: readonly string[],
  ) => Promise<AccessPreview>
}

/** The answer comes back through one more redirect. */
const UNREDEEMED_SECONDS = 2 * CODE_SECONDS

interface Request {
  readonly clientId: string
  readonly redirectUri: string
  readonly resource: string | undefined
  readonly scope: string | undefined
}

type Target =
  | { readonly kind: 'refused'; readonly reason: RefusalReason }
  | {
      readonly kind: 'agent'
      readonly tenantId: TenantId
      readonly workspace: string
      readonly agentId: AgentId
      readonly agentName: string
    }

export function createConsents(deps: ConsentDependencies): Consents {
  const { provider, appDb, audit, clients, clock, keys, publicUrl } = deps

  async function load(uid: string) {
    const interaction = await provider.Interaction.find(uid)
    if (interaction === undefined) throw over()
    const { params } = interaction
    const text = (name: string) => (typeof params[name] === 'string' ? params[name] : undefined)
    const clientId = text('client_id')
    const redirectUri = text('redirect_uri')
    const facts = clientId === undefined ? undefined : await clients.facts(clientId)
    if (clientId === undefined || redirectUri === undefined || facts === undefined) throw over()
    const request: Request = { clientId, redirectUri, resource: text('resource'), scope: text('scope') }
    return { interaction, request, facts }
  }

  async function target(request: Request, facts: ClientFacts, visitor: ConsentVisitor): Promise<Target> {
    const { personId } = visitor
    const named = request.resource === undefined ? undefined : agentOfResource(request.resource, publicUrl)
    if (request.resource !== undefined && named === undefined) return { kind: 'refused', reason: 'no_access' }
    const candidates = named === undefined ? await agentsOf(visitor) : await agentOfMember(named, visitor)
    const [only] = candidates
    if (only === undefined) return { kind: 'refused', reason: named === undefined ? 'no_agent' : 'no_access' }
    if (candidates.length > 1) return { kind: 'refused', reason: 'several_agents' }
    const found = await appDb.tenant(only.tenantId, async (tx) => {
      const { tenantId, agentId: id } = only
      const agent = await tx.agent.findUnique({ where: { tenantId_id: { tenantId, id } } })
      const tenant = await tx.tenant.findUnique({ where: { id: tenantId } })
      const membership = await tx.membership.findUnique({ where: { tenantId_personId: { tenantId, personId } } })
      return { agent, tenant, membership }
    })
    if (found.agent === null || found.agent.disabledAt !== null || found.tenant === null || found.membership === null)
      return { kind: 'refused', reason: 'no_access' }
    if (!isPermitted(parseRole(found.membership.role), 'session.issue')) return { kind: 'refused', reason: 'role' }
    if (facts.tenantId !== undefined && facts.tenantId !== only.tenantId)
      return { kind: 'refused', reason: 'foreign_client' }
    return { kind: 'agent', ...only, workspace: found.tenant.name, agentName: found.agent.name }
  }

  async function agentOfMember(agentId: AgentId, { personId, webSessionId }: ConsentVisitor) {
    const rows = await appDb.global.$queryRaw<{ tenant_id: string }[]>`
      SELECT tenant_id FROM agent_tenant_of_member(${agentId}, ${personId})`
    const open = await openTenantsOf(appDb.global, webSessionId)
    return rows
      .map((row) => ({ tenantId: brand<'tenant'>(row.tenant_id), agentId }))
      .filter(({ tenantId }) => open.includes(tenantId))
  }

  /** Two are as good as many: none of them is chosen. */
  async function agentsOf({ webSessionId }: ConsentVisitor) {
    const found: { readonly tenantId: TenantId; readonly agentId: AgentId }[] = []
    for (const tenantId of await openTenantsOf(appDb.global, webSessionId)) {
      const agents = await appDb.tenant(tenantId, (tx) =>
        tx.agent.findMany({ where: { tenantId, disabledAt: null }, select: { id: true }, take: 2 }),
      )
      for (const { id } of agents) found.push({ tenantId, agentId: brand<'agent'>(id) })
      if (found.length > 1) break
    }
    return found
  }

  /** Everything a person agrees to, in one text. */
  function words(
    uid: string,
    visitor: ConsentVisitor,
    request: Request,
    facts: ClientFacts,
    agentId: AgentId,
    scopes: readonly string[],
  ) {
    const { personId, webSessionId } = visitor
    const { clientId, redirectUri } = request
    const digest = facts.digest.toString('base64url')
    return canonicalJson({ uid, personId, webSessionId, clientId, digest, redirectUri, agentId, scopes: [...scopes] })
  }

  async function approve(uid: string, visitor: ConsentVisitor, proof: string): Promise<void> {
    const { interaction, request, facts } = await load(uid)
    if (interaction.result !== undefined) throw answered()
    const chosen = await target(request, facts, visitor)
    const scopes = grantableScopes(request.scope)
    if (
      chosen.kind === 'refused' ||
      scopes === undefined ||
      !keys.isProof(proof, words(uid, visitor, request, facts, chosen.agentId, scopes))
    )
      throw new AppError('auth.forbidden', 'What this page showed is not what would be granted. Load it again.')

    const { tenantId, agentId } = chosen
    const resource = request.resource ?? resourceOf(publicUrl, agentId)
    const grant = new provider.Grant({ accountId: visitor.personId, clientId: request.clientId })
    grant.addResourceScope(resource, scopes.join(' '))
    const grantId = await grant.save()
    const now = clock.now()
    const agentSessionId = newId('agentSession', now)
    await appDb.tenant(tenantId, async (tx) => {
      await holdLiveSession(tx, tenantId, agentId, now)
      await tx.agentSession.create({
        data: {
          tenantId,
          id: agentSessionId,
          agentId,
          kind: 'oauth',
          // No key opens this session: its tokens name it.
          secretHash: Uint8Array.from(hashSecret(newSecret('none_'))),
          secretHint: '',
          label: facts.wire.client_name.slice(0, 80),
          personId: visitor.personId,
          actsFor: 'person',
          clientId: request.clientId,
          clientName: facts.wire.client_name,
          clientHost: hostOf(request.redirectUri).slice(0, 300),
          clientDigest: Uint8Array.from(facts.digest),
          scopes: [...scopes],
          createdAt: now,
          expiresAt: new Date(now.getTime() + UNREDEEMED_SECONDS * 1_000),
        },
        omit: { secretHash: true },
      })
      await deps.grants.link(tx, grantId, { tenantId, agentSessionId })
      await audit.event(tx, {
        tenantId,
        actor: { kind: 'person', personId: visitor.personId, webSessionId: visitor.webSessionId },
        network: visitor.network,
        action: 'session.issued',
        agentId,
        agentSessionId,
        targetId: agentSessionId,
        detail: {
          client: facts.wire.client_name,
          clientId: request.clientId,
          redirectHost: hostOf(request.redirectUri),
          scopes: scopes.join(' '),
          actsFor: 'person',
        },
      })
    })
    await clients.noteApproval(request.clientId)
    interaction.params['resource'] = resource
    interaction.params['scope'] = scopes.join(' ')
    interaction.result = {
      login: { accountId: visitor.personId, remember: false },
      select_account: {},
      consent: { grantId },
    }
    await interaction.persist()
  }

  async function deny(uid: string, visitor: ConsentVisitor): Promise<void> {
    const { interaction, request, facts } = await load(uid)
    if (interaction.result !== undefined) throw answered()
    const chosen = await target(request, facts, visitor)
    const isUnclear = chosen.kind === 'refused' && (chosen.reason === 'no_agent' || chosen.reason === 'several_agents')
    interaction.result = isUnclear
      ? {
          error: 'invalid_target',
          error_description: 'the request does not say which agent it is for',
        }
      : { error: 'access_denied', error_description: 'the person did not agree' }
    await interaction.persist()
    if (chosen.kind === 'refused') return
    await audit.never(null, {
      tenantId: chosen.tenantId,
      actor: { kind: 'person', personId: visitor.personId, webSessionId: visitor.webSessionId },
      network: visitor.network,
      action: 'session.refused',
      outcome: 'denied',
      agentId: chosen.agentId,
      detail: { client: facts.wire.client_name, clientId: request.clientId, redirectHost: hostOf(request.redirectUri) },
    })
  }

  return {
    async describe(uid, visitor) {
      const { interaction, request, facts } = await load(uid)
      if (interaction.result !== undefined) throw answered()
      const client = card(request, facts)
      const chosen = await target(request, facts, visitor)
      if (chosen.kind === 'refused') return { kind: 'refused', reason: chosen.reason, client }
      const scopes = grantableScopes(request.scope) ?? []
      const { tenantId, agentId } = chosen
      const { idleSeconds, absoluteSeconds } = await lifetimesIn(appDb, tenantId)
      const person = await appDb.global.person.findUnique({ where: { id: visitor.personId } })
      if (person === null) throw over()
      return {
        kind: 'ask',
        client,
        person: { name: person.name, email: person.email },
        workspace: { id: tenantId, name: chosen.workspace },
        agent: { id: agentId, name: chosen.agentName },
        scopes,
        access: await deps.preview({ tenantId, agentId, personId: visitor.personId }, scopes),
        idleDays: Math.min(idleSeconds, absoluteSeconds) / DAY_SECONDS,
        absoluteDays: absoluteSeconds / DAY_SECONDS,
        proof: keys.prove(words(uid, visitor, request, facts, agentId, scopes)),
      }
    },

    async answer(uid, visitor, answer) {
      if (answer.decision === 'approve') await approve(uid, visitor, answer.proof)
      else await deny(uid, visitor)
      return { next: `${PATHS.authorization}/${uid}` }
    },
  }
}

function card({ clientId, redirectUri }: Request, { source, wire }: ClientFacts): ClientCard {
  return {
    name: wire.client_name,
    idHost: isDocumentId(clientId) ? new URL(clientId).host : null,
    source,
    redirectUri,
    redirectHost: hostOf(redirectUri),
    isLocalOnly: isLocalOnly(wire.redirect_uris),
  }
}

/** A name in other letters shows as what a resolver sees. */
function hostOf(redirectUri: string): string {
  const { protocol, host } = new URL(redirectUri)
  return protocol === 'https:' || protocol === 'http:' ? host : protocol
}

const over = () =>
  new AppError('resource.not_found', 'This request is over. Start again in the application that sent you here.')
const answered = () => new AppError('resource.conflict', 'This request was answered already.')
