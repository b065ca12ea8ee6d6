/**
 * What the library keeps, in Postgres, for all gateways together.
 *
 * Nothing stored can be presented: rows are found by hash, and the id the library puts into its payload (and into the
 * address a consent returns to) is taken out before and put back after. Whether a token still counts is the agent
 * session's to say and is asked at every look-up; so ending the session ends all of it, and nothing has to be found and
 * deleted for that.
 *
 * *Spending a code* is one conditional UPDATE; whoever loses it, at once or later, ends the session of the code.
 *
 * *Spending a refresh token* is one conditional UPDATE too, of its grant, in the commit that keeps its successors: both
 * happen or neither. The grant remembers the token spent last (its head). A child of the head may be spent and becomes
 * the head: its siblings are then children of nothing. The head itself may be spent again for a minute, three times:
 * clients do race and answers do get lost. Anything else is a replay and ends the session.
 *
 * @see RFC 6749 §4.1.2 and §10.4, RFC 9700 §4.14
 * @module
 */
import Provider, { errors, type Adapter, type AdapterPayload } from 'oidc-provider'

import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { brand, hashSecret, type AgentSessionId, type TenantId } from '../ids'
import type { TenancyAudit } from '../tenancy/agents'
import type { OauthClients } from './clients/clients'
import { isDocumentId } from './clients/document'
import { lifetimesOf, LONGEST, type Lifetimes, type LifetimesRow } from './lifetimes'
import { together } from './together'

export const GRACE_SECONDS = 60
export const GRACE_USES = 3

/** Members of a payload by which the artefact itself could be presented. */
const PRESENTABLE = new Set(['jti', 'returnTo'])
/** By which a client shows that it is in use. */
const USES = new Set(['AccessToken', 'ClientCredentials'])
const TOKENS = new Set(['AccessToken', 'RefreshToken', 'AuthorizationCode', 'ClientCredentials'])

const KEEP = { name: 'keep_oauth_tokens', text: 'SELECT keep_oauth_tokens($1::jsonb, $2)' }
const ROTATE = { name: 'rotate_oauth_tokens', text: 'SELECT rotate_oauth_tokens($1::jsonb, $2, $3, $4) AS spent' }
const LOOK = {
  name: 'find_oauth_artifacts',
  text: `SELECT place, payload, consumed_at, live_session_id, client_digest, grant_hash, grant_payload,
                access_minutes, session_idle_days, session_absolute_days
           FROM find_oauth_artifacts($1::text[], $2::bytea[])`,
}

export interface AdapterDependencies {
  readonly appDb: AppDb
  readonly audit: TenancyAudit
  readonly clients: Pick<OauthClients, 'find' | 'facts' | 'noteUse'>
  readonly clock: Clock
  /** Where a consent returns to. */
  readonly returnTo: (uid: string) => string
}

export interface GrantStore {
  /** Which session the tokens of a grant act for; within the transaction that makes the session. */
  link(
    tx: Pick<AppDb['global'], '$executeRaw'>,
    grantId: string,
    session: { readonly tenantId: TenantId; readonly agentSessionId: AgentSessionId },
  ): Promise<void>
  /** Those of the workspace whose grant this request looked up. */
  lifetimesOf(ctx: object): Lifetimes
}

export function createAdapterFactory(deps: AdapterDependencies): ((model: string) => Adapter) & GrantStore {
  const { appDb, audit, clients, clock } = deps
  const { global } = appDb
  const lifetimes = new WeakMap<object, Lifetimes>()
  const readAlong = new WeakMap<object, GrantRow>()
  const successors = new WeakMap<object, KeptToken>()

  // Many clients ask at once and each request takes several steps: a step is one statement for all who take it together.
  const keep = together<KeptToken, undefined>(async (tokens) => {
    await appDb.prepared(KEEP, [withoutPresentable(tokens), LONGEST.absoluteSeconds])
    return tokens.map(() => undefined)
  })
  const rotate = together<Rotation, boolean>(async (rotations) => {
    const values = [withoutPresentable(rotations), LONGEST.absoluteSeconds, GRACE_SECONDS, GRACE_USES]
    const [row] = await appDb.prepared<{ spent: number[] }>(ROTATE, values)
    const spent = new Set(row?.spent)
    return rotations.map((_, index) => spent.has(index + 1))
  })
  const look = together<{ readonly model: string; readonly hash: Buffer }, ArtifactRow | undefined>(async (asked) => {
    const values = [asked.map(({ model }) => model), asked.map(({ hash }) => hash)]
    const rows = await appDb.prepared<ArtifactRow & { readonly place: number }>(LOOK, values)
    const found = new Map(rows.map((row) => [row.place, row]))
    return asked.map((_, index) => found.get(index + 1))
  })

  async function upsert(model: string, id: string, payload: AdapterPayload, ttl: number): Promise<void> {
    if (model === 'ReplayDetection') {
      const added = await global.$executeRaw`
        INSERT INTO oauth_artifact (model, id_hash, payload, expires_at)
        VALUES (${model}, ${hashSecret(id)}, ${withoutPresentable(payload)}::jsonb, now() + make_interval(secs => ${ttl}))
        ON CONFLICT (model, id_hash) DO NOTHING`
      if (added !== 1) throw new errors.InvalidClientAuth('client assertion tokens must only be used once')
      return
    }
    const rotated = model === 'RefreshToken' ? Provider.ctx?.oidc.entities.RotatedRefreshToken?.jti : undefined
    // The session lasts as long as its youngest refresh token, or as long as what works without one.
    const isProlonging = model === 'RefreshToken' || (model === 'AccessToken' && !hasRefreshToken())
    const token: KeptToken = {
      model,
      id: hex(id),
      payload,
      grant: payload.grantId === undefined ? null : hex(payload.grantId),
      parent: rotated === undefined ? null : hex(rotated),
      client: model === 'ClientCredentials' ? payload.clientId : null,
      seconds: ttl,
      sessionSeconds: isProlonging ? ttl : null,
      isExact: model === 'RefreshToken',
    }
    const request = Provider.ctx
    // Its access token is issued next, in the same answer.
    if (rotated !== undefined && request !== undefined) {
      successors.set(request, token)
      return
    }
    const successor = model === 'AccessToken' && request !== undefined ? successors.get(request) : undefined
    if (successor?.parent == null) await keep(token)
    else await refresh({ spends: successor.parent, grant: successor.grant, tokens: [successor, token] })
    if (USES.has(model) && payload.clientId !== undefined) await clients.noteUse(payload.clientId)
  }

  async function sessionOf(grantHash: Buffer): Promise<Session | undefined> {
    const [row] = await global.$queryRaw<SessionRow[]>`
      SELECT tenant_id, agent_session_id FROM oauth_artifact WHERE model = 'Grant' AND id_hash = ${grantHash}`
    return sessionIn(row)
  }

  async function find(model: string, id: string): Promise<AdapterPayload | undefined> {
    if (model === 'Grant') return findGrant(id)
    const row = await look({ model, hash: hashSecret(id) })
    if (row === undefined) return undefined
    if (TOKENS.has(model)) {
      if (row.live_session_id === null) return undefined
      if (model !== 'AccessToken' && !(await isSameClient(row))) return undefined
    }
    if (Provider.ctx !== undefined && row.grant_payload !== null) readAlong.set(Provider.ctx, row)
    return {
      ...row.payload,
      jti: id,
      ...(model === 'Interaction' ? { returnTo: deps.returnTo(id) } : {}),
      // A spent refresh token is judged when it is spent again: it may be in its grace.
      ...(row.consumed_at !== null && model === 'AuthorizationCode'
        ? { consumed: Math.floor(row.consumed_at.getTime() / 1_000) }
        : {}),
    }
  }

  /** Comes before everything that is issued under it, so what limits that is read along. */
  async function findGrant(id: string): Promise<AdapterPayload | undefined> {
    const row = await grantRow(hashSecret(id))
    if (row?.grant_payload == null) return undefined
    if (Provider.ctx !== undefined) lifetimes.set(Provider.ctx, lifetimesOf(row))
    return { ...row.grant_payload, jti: id }
  }

  /** A request that has just looked its refresh token up has the grant already. */
  async function grantRow(idHash: Buffer): Promise<GrantRow | undefined> {
    const known = Provider.ctx === undefined ? undefined : readAlong.get(Provider.ctx)
    if (known?.grant_hash != null && idHash.equals(known.grant_hash)) return known
    const [row] = await global.$queryRaw<GrantRow[]>`
      SELECT a.id_hash AS grant_hash, a.payload AS grant_payload, f.*
        FROM oauth_artifact a LEFT JOIN LATERAL oauth_lifetimes(a.tenant_id) f ON true
       WHERE a.model = 'Grant' AND a.id_hash = ${idHash} AND a.expires_at > now()`
    return row
  }

  /** A document that says something else than what was approved is another client: people are asked again. */
  async function isSameClient({ payload, client_digest: digest }: ArtifactRow): Promise<boolean> {
    const { clientId } = payload
    if (clientId === undefined || digest === null || !isDocumentId(clientId)) return true
    const facts = await clients.facts(clientId)
    return facts?.digest.equals(Buffer.from(digest)) === true
  }

  async function spendCode(id: string): Promise<void> {
    const idHash = hashSecret(id)
    const spent = await global.$executeRaw`
      UPDATE oauth_artifact SET consumed_at = now()
       WHERE model = 'AuthorizationCode' AND id_hash = ${idHash} AND consumed_at IS NULL AND expires_at > now()`
    if (spent === 1) return
    await endFamilyOf('AuthorizationCode', idHash, 'code_replayed')
    throw new errors.InvalidGrant('authorization code already consumed')
  }

  async function refresh(rotation: Rotation): Promise<void> {
    if (await rotate(rotation)) return
    await endFamilyOf('RefreshToken', Buffer.from(rotation.spends, 'hex'), 'refresh_token_replayed')
    throw new errors.InvalidGrant('refresh token already used')
  }

  async function endFamilyOf(model: string, idHash: Buffer, reason: string): Promise<void> {
    const [row] = await global.$queryRaw<{ grant_hash: Uint8Array | null }[]>`
      SELECT grant_hash FROM oauth_artifact WHERE model = ${model} AND id_hash = ${idHash}`
    if (row?.grant_hash != null) await endGrant(Buffer.from(row.grant_hash), reason)
  }

  /** Ends the session of a grant; its tokens are then found no more. Ending it twice is the same. */
  async function endGrant(grantHash: Buffer, reason: string): Promise<void> {
    const session = await sessionOf(grantHash)
    if (session === undefined) return
    const { tenantId, agentSessionId } = session
    await appDb.tenant(tenantId, async (tx) => {
      const [ended] = await tx.$queryRaw<{ agent_id: string }[]>`
        UPDATE agent_session SET ended_at = ${clock.now()}, ended_reason = ${reason}
         WHERE tenant_id = ${tenantId} AND id = ${agentSessionId} AND ended_at IS NULL RETURNING agent_id`
      if (ended === undefined) return
      await audit.never(tx, {
        tenantId,
        actor: { kind: 'system' },
        action: 'session.revoked',
        agentId: brand<'agent'>(ended.agent_id),
        agentSessionId,
        targetId: agentSessionId,
        reason,
      })
    })
  }

  const factory = (model: string): Adapter => {
    // People are known by their own session; the library's would be a second, weaker one, so it is never kept.
    if (model === 'Session') return NOTHING
    if (model === 'Client') return { ...NOTHING, find: async (id) => clientPayload(await clients.find(id)) }
    return {
      ...NOTHING,
      upsert: (id, payload, ttl) => upsert(model, id, payload, ttl ?? 0),
      find: (id) => find(model, id),
      // A refresh token is spent with the commit that keeps its successors.
      consume: (id) => (model === 'AuthorizationCode' ? spendCode(id) : Promise.resolve()),
      async destroy(id) {
        const idHash = hashSecret(id)
        const gone = await global.$executeRaw`DELETE FROM oauth_artifact WHERE model = ${model} AND id_hash = ${idHash}`
        // Two answers to one consent: the second finds nothing to finish.
        if (gone !== 1 && model === 'Interaction') throw new errors.SessionNotFound('authorization request has expired')
      },
      // Called for every kind of token of the grant; once is enough.
      revokeByGrantId: (grantId) =>
        model === 'AccessToken' ? endGrant(hashSecret(grantId), reasonNow()) : Promise.resolve(),
    }
  }

  return Object.assign(factory, {
    lifetimesOf(ctx: object) {
      const found = lifetimes.get(ctx)
      if (found === undefined) throw new Error('nothing is issued before its grant was looked up')
      return found
    },
    link: async (
      tx: Pick<AppDb['global'], '$executeRaw'>,
      grantId: string,
      session: { readonly tenantId: TenantId; readonly agentSessionId: AgentSessionId },
    ) => {
      await tx.$executeRaw`
        UPDATE oauth_artifact SET tenant_id = ${session.tenantId}, agent_session_id = ${session.agentSessionId}
         WHERE model = 'Grant' AND id_hash = ${hashSecret(grantId)}`
    },
  })
}

/** One of what `keep_oauth_tokens` takes; hashes in hex. */
interface KeptToken {
  readonly model: string
  readonly id: string
  readonly payload: AdapterPayload
  readonly grant: string | null
  readonly parent: string | null
  readonly client: string | null | undefined
  readonly seconds: number
  readonly sessionSeconds: number | null
  readonly isExact: boolean
}

/** One of what `rotate_oauth_tokens` takes: the token that is spent, and those it is exchanged for. */
interface Rotation {
  readonly spends: string
  readonly grant: string | null
  readonly tokens: readonly KeptToken[]
}

const hex = (id: string) => hashSecret(id).toString('hex')
const withoutPresentable = (value: object) =>
  JSON.stringify(value, (key, member: unknown) => (PRESENTABLE.has(key) ? undefined : member))

interface Session {
  readonly tenantId: TenantId
  readonly agentSessionId: AgentSessionId
}
interface SessionRow {
  readonly tenant_id: string | null
  readonly agent_session_id: string | null
}

function sessionIn(row: SessionRow | undefined): Session | undefined {
  if (row === undefined || row.tenant_id === null || row.agent_session_id === null) return undefined
  return { tenantId: brand<'tenant'>(row.tenant_id), agentSessionId: brand<'agentSession'>(row.agent_session_id) }
}

/** Whether what is being issued comes with a refresh token, which lasts longer. */
const hasRefreshToken = () => Provider.ctx?.oidc.client?.grantTypeAllowed('refresh_token') === true

interface GrantRow extends LifetimesRow {
  readonly grant_hash: Uint8Array | null
  readonly grant_payload: AdapterPayload | null
}

interface ArtifactRow extends GrantRow {
  readonly payload: AdapterPayload
  readonly consumed_at: Date | null
  readonly live_session_id: string | null
  readonly client_digest: Uint8Array | null
}

/** Why the library takes a grant back, by what it is serving. */
function reasonNow(): string {
  const oidc = Provider.ctx?.oidc
  if (oidc?.route === 'revocation') return 'revoked_by_client'
  return oidc?.params?.['grant_type'] === 'refresh_token' ? 'refresh_token_replayed' : 'code_replayed'
}

/** The library's type wants mutable lists; it copies what it keeps. */
function clientPayload(client: Awaited<ReturnType<OauthClients['find']>>): AdapterPayload | undefined {
  return client as unknown as AdapterPayload | undefined // differs by `readonly` and by literal types alone
}

const none = () => Promise.resolve(undefined)
const NOTHING: Adapter = {
  upsert: none,
  find: none,
  findByUserCode: none,
  findByUid: none,
  consume: none,
  destroy: none,
  revokeByGrantId: none,
}
