/**
 * One sign-in under way elsewhere, as a row: bound to the browser that began it, to the issuer and client it was begun
 * with, and spent by one conditional UPDATE. Of twenty callbacks one succeeds, and of those only the right browser's.
 *
 * @see RFC 9700 §2.1, §4.7
 * @module
 */
import { randomBytes } from 'node:crypto'

import type { AppDb, AppTx } from '../db/app-db'
import { brand, hashSecret, newId, newSecret, type Id, type PersonId, type TenantId } from '../ids'

export type SignInProvider = 'oidc' | 'google' | 'github'

export interface AttemptFacts {
  readonly provider: SignInProvider
  /** With `oidc` alone. */
  readonly tenantId: TenantId | null
  readonly configId: string | null
  readonly issuer: string
  readonly clientId: string
  /** Who is signed in and links what comes back to themself. */
  readonly link: { readonly personId: PersonId; readonly sessionId: Id<'webSession'> } | null
  readonly isRenewal: boolean
  readonly next: string | null
}

export interface Attempt extends AttemptFacts {
  readonly codeVerifier: string
  readonly nonce: string
}

const MINUTES = 10
const STATE = /^pcx_[A-Za-z0-9_-]{43}$/

export async function beginAttempt(
  appDb: AppDb,
  facts: AttemptFacts,
  browserHash: Buffer,
): Promise<{ readonly state: string; readonly nonce: string; readonly codeVerifier: string }> {
  const state = newSecret('pcx_')
  const nonce = randomBytes(32).toString('base64url')
  const codeVerifier = randomBytes(48).toString('base64url')
  await appDb.global.$executeRaw`
    INSERT INTO sign_in_attempt (id, state_hash, browser_hash, provider, tenant_id, config_id, issuer, client_id, person_id, web_session_id,
        code_verifier, nonce, is_renewal, next_path, expires_at)
    VALUES (${newId('signInAttempt')}, ${hashSecret(state)}, ${browserHash}, ${facts.provider}, ${facts.tenantId}, ${facts.configId},
        ${facts.issuer}, ${facts.clientId}, ${facts.link?.personId ?? null}, ${facts.link?.sessionId ?? null},
        ${codeVerifier}, ${nonce}, ${facts.isRenewal}, ${facts.next}, now() + make_interval(mins => ${MINUTES}::int))`
  return { state, nonce, codeVerifier }
}

/** @returns undefined when it was spent, has expired, is another browser's, or was begun with somebody else than answers here */
export async function spendAttempt(
  db: Pick<AppTx, '$queryRaw'>,
  given: {
    readonly state: string | undefined
    readonly browserHash: Buffer | undefined
    readonly provider: SignInProvider
    readonly configId: string | null
  },
): Promise<Attempt | undefined> {
  const { state, browserHash, provider, configId } = given
  if (state === undefined || browserHash === undefined || !STATE.test(state)) return undefined
  const rows = await db.$queryRaw<Row[]>`
    UPDATE sign_in_attempt SET used_at = now()
     WHERE state_hash = ${hashSecret(state)} AND browser_hash = ${browserHash} AND provider = ${provider}
       AND config_id IS NOT DISTINCT FROM ${configId} AND used_at IS NULL AND expires_at > now()
    RETURNING tenant_id, config_id, issuer, client_id, person_id, web_session_id, code_verifier, nonce, is_renewal, next_path`
  const row = rows[0]
  if (row === undefined) return undefined
  return {
    provider,
    tenantId: row.tenant_id === null ? null : brand(row.tenant_id),
    configId: row.config_id,
    issuer: row.issuer,
    clientId: row.client_id,
    link:
      row.person_id === null || row.web_session_id === null
        ? null
        : { personId: brand(row.person_id), sessionId: brand(row.web_session_id) },
    isRenewal: row.is_renewal,
    next: row.next_path,
    codeVerifier: row.code_verifier,
    nonce: row.nonce,
  }
}

/** Forgets sign-ins that nobody finished. A day is kept for whoever looks for what went wrong. */
export async function forgetAttempts(appDb: AppDb, batch = 1_000): Promise<number> {
  return appDb.global.$executeRaw`
    DELETE FROM sign_in_attempt WHERE id IN (
      SELECT id FROM sign_in_attempt WHERE expires_at < now() - interval '1 day' LIMIT ${batch})`
}

interface Row {
  readonly tenant_id: string | null
  readonly config_id: string | null
  readonly issuer: string
  readonly client_id: string
  readonly person_id: string | null
  readonly web_session_id: string | null
  readonly code_verifier: string
  readonly nonce: string
  readonly is_renewal: boolean
  readonly next_path: string | null
}
