/**
 * Who our clients are: those that registered themselves, those that a member of a workspace made, and those that are a
 * URL. Of a secret its hash is kept.
 *
 * Registration is open and therefore quarantined: a client that nobody approved within a day is gone, one that nobody
 * used for ninety days too, and there are never more than so many that nobody approved.
 *
 * A headless client belongs to one agent and acts through one session of whoever made it; when that session ends, the
 * client can do nothing more.
 *
 * @see RFC 7591, RFC 6749 §2.3.1 and §4.4
 * @module
 */
import { timingSafeEqual } from 'node:crypto'

import { LRUCache } from 'lru-cache'

import { actorOf } from '../../audit/record'
import type { Clock } from '../../clock'
import type { AppDb } from '../../db/app-db'
import type { Egress } from '../../egress/egress'
import { AppError, notFound } from '../../errors'
import { FreshCache } from '../../fresh-cache'
import { brand, hashSecret, isId, newId, newSecret, type AgentId, type AgentSessionId, type TenantId } from '../../ids'
import { Secret } from '../../secret'
import { agentIdOf, loadAgent, personOf, type TenancyAudit } from '../../tenancy/agents'
import { checkPermission } from '../../tenancy/permission'
import type { MemberPrincipal } from '../../tenancy/principal'
import { holdQuota } from '../../tenancy/quotas'
import { SESSION_SCOPES } from '../../policy/decide'
import type { OauthLimits } from '../limits'
import { lifetimesOf, type Lifetimes, type LifetimesRow } from '../lifetimes'
import { createClientDocuments, isDocumentId } from './document'
import { clientDigest, displayText, normaliseClient, type ClientSource, type ClientWire } from './normalise'

export const CLIENT_SECRET_PREFIX = 'pco_'
/** What stands where the library expects a secret: it cannot be presented, because what is presented is hashed. */
const HASHED = 'sha256:'
const QUARANTINE_HOURS = 24
const UNUSED_DAYS = 90
const MANUAL_DAYS = 365
const MAX_UNAPPROVED = 10_000
/** The row itself notes a use once an hour. */
const NOTE_EVERY_MS = 10 * 60_000

/** A client as the library takes it. */
export interface StoredClient extends Omit<ClientWire, 'response_types'> {
  readonly client_id: string
  readonly client_secret?: string
  readonly response_types: readonly 'code'[]
}

/** What else we know of a client. */
export interface ClientFacts {
  readonly source: ClientSource
  readonly wire: ClientWire
  readonly digest: Buffer
  /** Of a manual client. */
  readonly tenantId: TenantId | undefined
  readonly agentId: AgentId | undefined
  readonly agentSessionId: AgentSessionId | undefined
  /** Of a manual client's workspace. */
  readonly lifetimes: Lifetimes | undefined
}

export type Registration =
  | {
      readonly ok: true
      readonly answer: Readonly<Record<string, unknown>>
    }
  | { readonly ok: false; readonly error: string; readonly description: string }

export interface ManualClientView {
  readonly id: string
  readonly name: string
  readonly kind: 'interactive' | 'headless'
  readonly agentId: string | null
  readonly redirectUris: readonly string[]
  readonly authMethod: string
  readonly hint: string | null
  readonly personId: string | null
  readonly createdAt: Date
  readonly lastUsedAt: Date | null
  readonly expiresAt: Date
  readonly revokedAt: Date | null
}

export interface NewManualClient {
  readonly name: string
  /** Of a client that people sign in with. */
  readonly redirectUris?: readonly string[] | undefined
  /** Of a headless client. */
  readonly agentId?: string | undefined
  readonly authMethod?: string | undefined
  readonly jwks?: unknown
}

export interface OauthClients {
  /** For the library. @returns undefined for one that is unknown, over, or cannot be read */
  find(clientId: string): Promise<StoredClient | undefined>
  facts(clientId: string): Promise<ClientFacts | undefined>
  /** @throws AppError `request.rate_limited` or `resource.limit_exceeded` */
  register(body: unknown, network: string): Promise<Registration>
  /** Notes that somebody approved it, and keeps the document they approved. */
  noteApproval(clientId: string): Promise<void>
  noteUse(clientId: string): Promise<void>
  /** The secret is in this answer and nowhere else. */
  create(
    principal: MemberPrincipal,
    client: NewManualClient,
  ): Promise<ManualClientView & { readonly secret: Secret | null }>
  list(principal: MemberPrincipal): Promise<ManualClientView[]>
  /** From the answer on it gets no more tokens and those it has do not work. */
  revoke(principal: MemberPrincipal, clientId: string): Promise<ManualClientView>
}

export interface ClientDependencies {
  readonly appDb: AppDb
  readonly egress: Pick<Egress, 'request'>
  readonly audit: TenancyAudit
  readonly limits: OauthLimits
  readonly clock: Clock
  /** The network of the request being served, for the limit of fetches. */
  readonly network: () => string
}

/** True when this is the secret whose hash stands in the client. */
export function isClientSecret(stored: string | undefined, presented: string): boolean {
  if (stored?.startsWith(HASHED) !== true) return false
  const right = Buffer.from(stored.slice(HASHED.length), 'base64url')
  const given = hashSecret(presented)
  return right.length === given.length && timingSafeEqual(right, given)
}

interface ClientRow {
  readonly id: string
  readonly kind: 'registered' | 'manual' | 'document'
  readonly metadata: ClientWire
  readonly secret_hash: Uint8Array | null
  readonly secret_hint: string | null
  readonly tenant_id: string | null
  readonly person_id: string | null
  readonly agent_id: string | null
  readonly agent_session_id: string | null
  readonly created_at: Date
  readonly last_used_at: Date | null
  readonly expires_at: Date
  readonly revoked_at: Date | null
}

export function createOauthClients(deps: ClientDependencies): OauthClients {
  const { appDb, audit, clock, limits } = deps
  const { global } = appDb

  const documents = createClientDocuments({
    egress: deps.egress,
    clock,
    beforeFetch: () => limits.count('document', deps.network()),
    approved: async (clientId) => {
      const row = await readRow(clientId)
      return row?.kind === 'document' ? { client: row.metadata, at: row.last_used_at ?? row.created_at } : undefined
    },
  })

  async function readRow(clientId: string): Promise<ClientRow | undefined> {
    const [row] = await global.$queryRaw<ClientRow[]>`SELECT * FROM oauth_client WHERE id = ${clientId}`
    return row
  }

  // A token request asks for its client several times. What is a moment old is enough: a client that was revoked
  // elsewhere has no session left, so what it gets meanwhile opens nothing.
  const live = new FreshCache<{ readonly row: (ClientRow & LifetimesRow) | undefined }>({
    maxEntries: 5_000,
    maxAgeMs: 1_500,
    refreshAfterMs: 1_000,
    clock,
  })
  const noted = new LRUCache<string, true>({ max: 5_000, ttl: NOTE_EVERY_MS })

  async function liveRow(clientId: string): Promise<(ClientRow & LifetimesRow) | undefined> {
    if (!isId('oauthClient', clientId)) return undefined
    const { row } = await live.get(clientId, async () => {
      const [found] = await global.$queryRaw<(ClientRow & LifetimesRow)[]>`
        SELECT c.*, f.* FROM oauth_client c LEFT JOIN person p ON p.id = c.person_id
          LEFT JOIN LATERAL oauth_lifetimes(c.tenant_id) f ON true
         WHERE c.id = ${clientId} AND c.expires_at > now() AND c.revoked_at IS NULL AND p.disabled_at IS NULL`
      return { row: found }
    })
    if (row === undefined) live.delete(clientId) // it may register in a moment, and floods of guesses push nobody out
    return row
  }

  const facts: OauthClients['facts'] = async (clientId) => {
    if (isDocumentId(clientId)) {
      const wire = await documents.find(clientId)
      return wire === undefined
        ? undefined
        : {
            source: 'document',
            wire,
            digest: clientDigest(wire),
            tenantId: undefined,
            agentId: undefined,
            agentSessionId: undefined,
            lifetimes: undefined,
          }
    }
    const row = await liveRow(clientId)
    if (row === undefined) return undefined
    return {
      source: row.kind,
      wire: row.metadata,
      digest: clientDigest(row.metadata),
      tenantId: row.tenant_id === null ? undefined : brand<'tenant'>(row.tenant_id),
      agentId: row.agent_id === null ? undefined : brand<'agent'>(row.agent_id),
      agentSessionId: row.agent_session_id === null ? undefined : brand<'agentSession'>(row.agent_session_id),
      lifetimes: row.tenant_id === null ? undefined : lifetimesOf(row),
    }
  }

  return {
    facts,

    async find(clientId) {
      if (isDocumentId(clientId)) {
        const wire = await documents.find(clientId)
        return wire === undefined ? undefined : { ...wire, client_id: clientId }
      }
      const row = await liveRow(clientId)
      if (row === undefined) return undefined
      const secret = row.secret_hash === null ? undefined : HASHED + Buffer.from(row.secret_hash).toString('base64url')
      return { ...row.metadata, client_id: clientId, ...(secret === undefined ? {} : { client_secret: secret }) }
    },

    async register(body, network) {
      await limits.count('register', network)
      const normalised = normaliseClient('registered', body)
      if (!normalised.ok) return normalised
      const [unapproved] = await global.$queryRaw<{ n: bigint }[]>`
        SELECT count(*) AS n FROM (SELECT 1 FROM oauth_client WHERE last_used_at IS NULL AND kind = 'registered' AND expires_at > now() LIMIT ${MAX_UNAPPROVED}) x`
      if ((unapproved?.n ?? 0n) >= BigInt(MAX_UNAPPROVED))
        throw new AppError('request.rate_limited', 'Too many clients registered lately. Try again later.', {
          retryAfterSeconds: 3_600,
        })
      const { client } = normalised
      const id = newId('oauthClient', clock.now())
      const secret = needsSecret(client) ? newSecret(CLIENT_SECRET_PREFIX) : undefined
      await global.$executeRaw`
        INSERT INTO oauth_client (id, kind, metadata, secret_hash, secret_hint, expires_at)
        VALUES (${id}, 'registered', ${JSON.stringify(client)}::jsonb, ${secret === undefined ? null : hashSecret(secret)},
                ${secret?.slice(-4) ?? null}, now() + make_interval(hours => ${QUARANTINE_HOURS}))`
      return {
        ok: true,
        answer: {
          client_id: id,
          client_id_issued_at: Math.floor(clock.now().getTime() / 1_000),
          ...(secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 }),
          ...client,
        },
      }
    },

    async noteApproval(clientId) {
      if (!isDocumentId(clientId)) {
        await global.$executeRaw`
          UPDATE oauth_client SET last_used_at = now(), expires_at = GREATEST(expires_at, now() + make_interval(days => ${UNUSED_DAYS}))
           WHERE id = ${clientId} AND kind = 'registered'`
        return
      }
      const wire = await documents.find(clientId)
      if (wire === undefined) return
      await global.$executeRaw`
        INSERT INTO oauth_client (id, kind, metadata, last_used_at, expires_at)
        VALUES (${clientId}, 'document', ${JSON.stringify(wire)}::jsonb, now(), now() + make_interval(days => ${UNUSED_DAYS}))
        ON CONFLICT (id) DO UPDATE SET metadata = EXCLUDED.metadata, last_used_at = now(), expires_at = EXCLUDED.expires_at`
    },

    async noteUse(clientId) {
      if (noted.has(clientId)) return
      noted.set(clientId, true)
      await global.$executeRaw`
        UPDATE oauth_client SET last_used_at = now(),
               expires_at = CASE WHEN kind = 'manual' THEN expires_at ELSE GREATEST(expires_at, now() + make_interval(days => ${UNUSED_DAYS})) END
         WHERE id = ${clientId} AND kind <> 'document' AND (last_used_at IS NULL OR last_used_at < now() - interval '1 hour')`
    },

    async create(principal, given) {
      checkPermission(principal, 'session.issue')
      const name = displayText(given.name, 80)
      if (name === undefined) throw invalid('name', 'must have characters that can be shown')
      const wire = manualWire(name, given)
      const { tenantId } = principal
      const person = personOf(principal)
      const now = clock.now()
      const id = newId('oauthClient', now)
      const secret = needsSecret(wire) ? newSecret(CLIENT_SECRET_PREFIX) : undefined
      const agentId = given.agentId === undefined ? undefined : agentIdOf(given.agentId)
      const expiresAt = new Date(now.getTime() + MANUAL_DAYS * 86_400_000)
      await appDb.tenant(tenantId, async (tx) => {
        await holdQuota(tx, tenantId, 'clients')
        let sessionId: AgentSessionId | null = null
        if (agentId !== undefined) {
          const agent = await loadAgent(tx, principal, agentId)
          if (agent.disabledAt !== null)
            throw new AppError(
              'resource.conflict',
              'This agent is disabled. Enable it before you make a client for it.',
            )
          sessionId = newId('agentSession', now)
          await tx.agentSession.create({
            data: {
              tenantId,
              id: sessionId,
              agentId,
              kind: 'oauth',
              // No key opens this session: tokens name it.
              secretHash: Uint8Array.from(hashSecret(newSecret('none_'))),
              secretHint: secret?.slice(-4) ?? '',
              label: name,
              personId: person,
              actsFor: person === null ? 'workspace' : 'person',
              clientId: id,
              clientName: name,
              clientDigest: Uint8Array.from(clientDigest(wire)),
              scopes: [...SESSION_SCOPES],
              createdAt: now,
              expiresAt,
            },
            omit: { secretHash: true },
          })
        }
        await tx.$executeRaw`
          INSERT INTO oauth_client (id, kind, metadata, secret_hash, secret_hint, tenant_id, person_id, agent_id, agent_session_id, created_at, expires_at)
          VALUES (${id}, 'manual', ${JSON.stringify(wire)}::jsonb, ${secret === undefined ? null : hashSecret(secret)}, ${secret?.slice(-4) ?? null},
                  ${tenantId}, ${person}, ${agentId ?? null}, ${sessionId}, ${now}, ${expiresAt})`
        await audit.event(tx, {
          tenantId,
          actor: actorOf(principal),
          network: principal.network,
          action: 'client.created',
          ...(agentId === undefined ? {} : { agentId }),
          ...(sessionId === null ? {} : { agentSessionId: sessionId }),
          targetId: id,
          detail: { name, kind: agentId === undefined ? 'interactive' : 'headless' },
        })
      })
      const row = await readRow(id)
      if (row === undefined) throw notFound()
      return { ...view(row), secret: secret === undefined ? null : new Secret(secret) }
    },

    async list(principal) {
      checkPermission(principal, 'session.read')
      const rows = await global.$queryRaw<ClientRow[]>`
        SELECT * FROM oauth_client WHERE tenant_id = ${principal.tenantId}
         ORDER BY revoked_at IS NOT NULL, created_at DESC, id LIMIT 500`
      return rows.map(view)
    },

    async revoke(principal, clientId) {
      checkPermission(principal, 'session.revoke')
      const { tenantId } = principal
      if (!isId('oauthClient', clientId)) throw notFound()
      await appDb.tenant(tenantId, async (tx) => {
        const revoked = await tx.$queryRaw<{ id: string }[]>`
          UPDATE oauth_client SET revoked_at = now() WHERE id = ${clientId} AND tenant_id = ${tenantId} AND revoked_at IS NULL RETURNING id`
        const { count } = await tx.agentSession.updateMany({
          where: { tenantId, clientId, endedAt: null },
          data: { endedAt: clock.now(), endedReason: 'client_revoked' },
        })
        if (revoked.length > 0)
          await audit.never(tx, {
            tenantId,
            actor: actorOf(principal),
            network: principal.network,
            action: 'client.revoked',
            targetId: clientId,
            detail: { sessions: count },
          })
      })
      live.delete(clientId)
      const row = await readRow(clientId)
      if (row?.tenant_id !== tenantId) throw notFound()
      return view(row)
    },
  }
}

function manualWire(name: string, given: NewManualClient): ClientWire {
  if ((given.agentId === undefined) === (given.redirectUris === undefined))
    throw invalid('redirectUris', 'give redirect URIs for a client people sign in with, or an agent for a headless one')
  const raw = {
    client_name: name,
    // A headless client never sees a browser; the address only satisfies the shared rules and is taken out again.
    redirect_uris: given.redirectUris ?? ['https://headless.invalid/'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: given.authMethod ?? 'client_secret_basic',
    jwks: given.jwks,
  }
  const normalised = normaliseClient('manual', raw)
  if (!normalised.ok)
    throw invalid(normalised.error === 'invalid_redirect_uri' ? 'redirectUris' : 'authMethod', normalised.description)
  if (given.agentId === undefined) return normalised.client
  if (normalised.client.token_endpoint_auth_method === 'none')
    throw invalid('authMethod', 'a headless client needs a secret or a key')
  return { ...normalised.client, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }
}

const needsSecret = ({ token_endpoint_auth_method: method }: ClientWire) =>
  method === 'client_secret_basic' || method === 'client_secret_post'

function view(row: ClientRow): ManualClientView {
  return {
    id: row.id,
    name: row.metadata.client_name,
    kind: row.agent_id === null ? 'interactive' : 'headless',
    agentId: row.agent_id,
    redirectUris: row.metadata.redirect_uris,
    authMethod: row.metadata.token_endpoint_auth_method,
    hint: row.secret_hint,
    personId: row.person_id,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
  }
}

const invalid = (field: string, reason: string) => new AppError('request.invalid', `${field}: ${reason}`, { field })
