/**
 * Why a credential was refused, found out after the answer was sent: the answer itself must not say it.
 *
 * What a session of another agent is, and whose, is not told: only that it is another's.
 *
 * @see RFC 6749 §5.2, RFC 7636 §4.6
 * @module
 */
import type { AppDb } from '../db/app-db'
import { brand, isId, type AgentId, type TenantId } from '../ids'
import type { Observation, Problem, RefusedCredential } from './step'

export interface Finding {
  readonly problem: Problem
  /** The agent the credential is for, when the request does not name one. */
  readonly agent?: { readonly tenantId: TenantId; readonly agentId: AgentId } | undefined
  readonly reason?: string | undefined
}

interface Artifact {
  readonly payload: { readonly clientId?: string; readonly redirectUri?: string; readonly codeChallenge?: string }
  readonly tenant_id: string | null
  readonly agent_session_id: string | null
  readonly consumed_at: Date | null
  readonly expires_at: Date
}

interface Session {
  readonly tenantId: TenantId
  readonly agentId: AgentId
  readonly expiresAt: Date
  readonly endedAt: Date | null
  readonly endedReason: string | null
  readonly isAgentDisabled: boolean
}

export async function findReason(appDb: AppDb, { at, agentId, credential }: Observation): Promise<Finding | undefined> {
  if (credential === undefined) return undefined
  switch (credential.kind) {
    case 'session_key':
      return judgeSession(await sessionByKey(appDb, credential.hash), agentId, at)
    case 'access_token': {
      const row =
        (await artifact(appDb, 'AccessToken', credential.hash)) ??
        (await artifact(appDb, 'ClientCredentials', credential.hash))
      if (row === undefined) return { problem: 'token_unknown' }
      const finding = judgeSession(await sessionOf(appDb, row), agentId, at)
      return finding.problem === 'person_gone' && row.expires_at <= at ? { problem: 'token_expired' } : finding
    }
    case 'code':
      return judgeCode(appDb, credential, at)
    case 'refresh_token':
      return judgeRefreshToken(appDb, credential, at)
  }
}

function judgeSession(session: Session | undefined, agentId: AgentId | undefined, at: Date): Finding {
  if (session === undefined) return { problem: 'token_unknown' }
  if (agentId !== undefined && session.agentId !== agentId) return { problem: 'other_agent' }
  if (session.endedAt !== null) return { problem: 'session_ended', reason: session.endedReason ?? undefined }
  if (session.expiresAt <= at) return { problem: 'session_expired' }
  if (session.isAgentDisabled) return { problem: 'agent_disabled' }
  // Nothing else keeps a live session of an enabled agent from acting.
  return { problem: 'person_gone' }
}

async function judgeCode(appDb: AppDb, sent: Extract<RefusedCredential, { kind: 'code' }>, at: Date): Promise<Finding> {
  const row = await artifact(appDb, 'AuthorizationCode', sent.hash)
  if (row === undefined) return { problem: 'code_unknown' }
  const session = await sessionOf(appDb, row)
  const agent = session === undefined ? undefined : { tenantId: session.tenantId, agentId: session.agentId }
  const { clientId, redirectUri, codeChallenge } = row.payload
  // What was sent amiss comes first: by now another request may have spent the code.
  const problem =
    clientId !== sent.clientId
      ? 'client_changed'
      : sent.challenge === undefined
        ? 'pkce_missing'
        : codeChallenge !== sent.challenge
          ? 'pkce_mismatch'
          : sent.redirectUri !== undefined && redirectUri !== sent.redirectUri
            ? 'redirect_changed'
            : row.consumed_at !== null
              ? 'code_used'
              : row.expires_at <= at
                ? 'code_expired'
                : session === undefined
                  ? 'code_unknown'
                  : judgeSession(session, undefined, at).problem
  return { problem, agent }
}

async function judgeRefreshToken(
  appDb: AppDb,
  sent: Extract<RefusedCredential, { kind: 'refresh_token' }>,
  at: Date,
): Promise<Finding> {
  const row = await artifact(appDb, 'RefreshToken', sent.hash)
  if (row === undefined) return { problem: 'refresh_unknown' }
  const session = await sessionOf(appDb, row)
  const agent = session === undefined ? undefined : { tenantId: session.tenantId, agentId: session.agentId }
  if (row.payload.clientId !== sent.clientId) return { problem: 'client_changed', agent }
  // What ended first is the reason: a session that ended of this very token says so by itself.
  if (session?.endedAt != null)
    return session.endedReason === 'refresh_token_replayed'
      ? { problem: 'refresh_used', agent }
      : { problem: 'session_ended', reason: session.endedReason ?? undefined, agent }
  if (row.consumed_at !== null) return { problem: 'refresh_used', agent }
  if (row.expires_at <= at) return { problem: 'refresh_expired', agent }
  return { ...judgeSession(session, undefined, at), agent }
}

async function artifact(appDb: AppDb, model: string, hash: Buffer): Promise<Artifact | undefined> {
  const [row] = await appDb.global.$queryRaw<Artifact[]>`
    SELECT payload, tenant_id, agent_session_id, consumed_at, expires_at FROM oauth_artifact
     WHERE model = ${model} AND id_hash = ${hash}`
  return row
}

async function sessionByKey(appDb: AppDb, hash: Buffer): Promise<Session | undefined> {
  const [found] = await appDb.global.$queryRaw<{ tenant_id: string; session_id: string }[]>`
    SELECT tenant_id, session_id FROM agent_session_by_hash(${hash})`
  return found === undefined
    ? undefined
    : sessionOf(appDb, { tenant_id: found.tenant_id, agent_session_id: found.session_id })
}

async function sessionOf(
  appDb: AppDb,
  { tenant_id: tenant, agent_session_id: id }: Pick<Artifact, 'tenant_id' | 'agent_session_id'>,
): Promise<Session | undefined> {
  if (tenant === null || !isId('agentSession', id)) return undefined
  const tenantId = brand<'tenant'>(tenant)
  return appDb.tenant(tenantId, async (tx) => {
    const row = await tx.agentSession.findUnique({
      where: { tenantId_id: { tenantId, id } },
      select: { agentId: true, expiresAt: true, endedAt: true, endedReason: true },
    })
    if (row === null) return undefined
    const agent = await tx.agent.findUnique({ where: { tenantId_id: { tenantId, id: row.agentId } } })
    return {
      ...row,
      tenantId,
      agentId: brand<'agent'>(row.agentId),
      isAgentDisabled: agent?.disabledAt != null,
    }
  })
}
