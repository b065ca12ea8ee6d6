/**
 * A person's session in one browser, as a row. The cookie holds the secret `pcw_…`, the row its hash; a row that is
 * ended, idle or old is no session, at the next request and in every process, because every look-up reads the row.
 *
 * A session begins `pending`. next-auth activates it once, within a minute, in the browser that started it. Times are
 * the database's.
 *
 * @see OWASP ASVS 5.0 §7.2–7.4
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { brand, hashSecret, newId, newSecret, type Id, type PersonId, type TenantId } from '../ids'
import { Secret } from '../secret'
import { isSecret, SECRET_PREFIX } from './cookies'

export type SignInMethod = 'password' | 'magic_link' | 'setup' | 'sign_up' | 'sso' | 'google' | 'github' | 'passkey'

export interface NewSession {
  readonly personId: PersonId
  readonly tenantId?: TenantId
  readonly method: SignInMethod
  /** Hash of the browser's cookie. */
  readonly browserHash: Buffer
  readonly network: string
  readonly userAgent: string
  /** The way in proves the second factor too, as a passkey does. */
  readonly hasSecondFactor?: boolean
}

/** A session whose person has still to give their second factor. It opens nothing but that. */
export interface WaitingSession {
  readonly sessionId: Id<'webSession'>
  readonly personId: PersonId
  readonly tenantId: TenantId | null
  readonly method: string
  readonly browserHash: Buffer
}

export interface WebSession {
  readonly sessionId: Id<'webSession'>
  readonly personId: PersonId
  /** The workspace the person chose last in this session; null before any choice. */
  readonly tenantId: TenantId | null
  readonly authenticatedAt: Date
  /** The workspace whose issuer vouched for the person: it opens that one alone. Null where they signed in themself. */
  readonly onlyTenantId?: TenantId | null
}

export interface ListedSession {
  readonly id: Id<'webSession'>
  readonly method: string
  readonly network: string
  readonly userAgent: string
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly expiresAt: Date
}

/** A table or a transaction over the global tables. */
type SessionTables = Pick<AppTx, '$queryRaw' | '$executeRaw'>

const MAX_PER_PERSON = 50
const MAX_USER_AGENT = 300

export interface WebSessions {
  /**
   * Adds a pending session.
   *
   * @returns its secret, for the ticket cookie and nothing else; `isWaiting`: the second factor is still to be given
   */
  start(
    tx: SessionTables,
    session: NewSession,
  ): Promise<{ readonly sessionId: Id<'webSession'>; readonly secret: Secret; readonly isWaiting: boolean }>
  /** The session of a cookie, when it is active now and fully authenticated. Prolongs the idle limit at most once a minute. */
  lookup(secret: string | undefined): Promise<WebSession | undefined>
  /** The session of a cookie that `lookup` does not see because its second factor is still to be given. A quarter of an hour. */
  lookupWaiting(secret: string | undefined): Promise<WaitingSession | undefined>
  /**
   * The second factor was given: the session is pending once more, under a new secret.
   *
   * @returns undefined when it is waiting no longer
   */
  complete(tx: SessionTables, session: WaitingSession): Promise<Secret | undefined>
  /**
   * The person proved themself again in it: the moment of the last proof is now.
   *
   * @param withSecondFactor  that proof was a second factor
   * @returns false when the session has ended
   */
  proveAgain(
    tx: SessionTables,
    session: Pick<WebSession, 'sessionId' | 'personId'>,
    withSecondFactor: boolean,
  ): Promise<boolean>
  /** @returns false when it had ended already or is somebody else's */
  end(tx: SessionTables, personId: PersonId, sessionId: string, reason: string): Promise<boolean>
  /** @returns ids of the sessions that ended by this */
  endAllOf(
    tx: SessionTables,
    personId: PersonId,
    reason: string,
    except?: Id<'webSession'>,
  ): Promise<readonly Id<'webSession'>[]>
  list(personId: PersonId): Promise<readonly ListedSession[]>
  /** Whether this person signed in here before: from this browser, or from this network in the last 30 days. */
  isKnown(emailCanonical: string, browserHash: Buffer | undefined, network: string | undefined): Promise<boolean>
  /** As `isKnown`, of somebody whose first factor is proven. */
  isKnownTo(personId: PersonId, browserHash: Buffer | undefined, network: string | undefined): Promise<boolean>
}

export function createWebSessions(deps: { readonly appDb: AppDb }): WebSessions {
  const { global } = deps.appDb
  return {
    async start(tx, session) {
      const sessionId = newId('webSession')
      const secret = newSecret(SECRET_PREFIX.webSession)
      const started = await tx.$queryRaw<{ is_waiting: boolean }[]>`
        INSERT INTO web_session (id, secret_hash, person_id, tenant_id, status, browser_hash, method, idle_expires_at, expires_at,
                                 user_agent, network, second_factor_at)
        VALUES (${sessionId}, ${hashSecret(secret)}, ${session.personId}, ${session.tenantId ?? null}, 'pending', ${session.browserHash},
                ${session.method}, now() + interval '7 days', now() + interval '30 days',
                ${printable(session.userAgent).slice(0, MAX_USER_AGENT)}, ${session.network.slice(0, 64)},
                CASE WHEN ${session.hasSecondFactor === true} THEN now() END)
        RETURNING second_factor_at IS NULL AND has_second_factor(person_id) AS is_waiting`
      // The oldest make room, so that no account can fill the table.
      await tx.$executeRaw`
        UPDATE web_session SET status = 'ended', ended_at = now(), ended_reason = 'too_many'
         WHERE id IN (SELECT id FROM web_session WHERE person_id = ${session.personId} AND status <> 'ended'
                       ORDER BY last_used_at DESC, id DESC OFFSET ${MAX_PER_PERSON})`
      return { sessionId, secret: new Secret(secret), isWaiting: started[0]?.is_waiting !== false }
    },

    async lookup(secret) {
      if (!isSecret(SECRET_PREFIX.webSession, secret)) return undefined
      const rows = await global.$queryRaw<
        {
          id: string
          person_id: string
          tenant_id: string | null
          only_tenant_id: string | null
          authenticated_at: Date
          is_stale: boolean
        }[]
      >`
        SELECT s.id, s.person_id, s.tenant_id, s.only_tenant_id, s.authenticated_at, s.last_used_at < now() - interval '1 minute' AS is_stale
          FROM session_by_hash(${hashSecret(secret)}) found JOIN web_session s ON s.id = found.session_id`
      const row = rows[0]
      if (row === undefined) return undefined
      if (row.is_stale)
        await global.$executeRaw`
          UPDATE web_session SET last_used_at = now(), idle_expires_at = LEAST(now() + interval '7 days', expires_at)
           WHERE id = ${row.id} AND status = 'active' AND last_used_at < now() - interval '1 minute'`
      return {
        sessionId: brand(row.id),
        personId: brand(row.person_id),
        tenantId: row.tenant_id === null ? null : brand(row.tenant_id),
        authenticatedAt: row.authenticated_at,
        onlyTenantId: row.only_tenant_id === null ? null : brand(row.only_tenant_id),
      }
    },

    async lookupWaiting(secret) {
      if (!isSecret(SECRET_PREFIX.webSession, secret)) return undefined
      const rows = await global.$queryRaw<
        { id: string; person_id: string; tenant_id: string | null; method: string; browser_hash: Uint8Array }[]
      >`
        SELECT s.id, s.person_id, s.tenant_id, s.method, s.browser_hash
          FROM web_session s JOIN person p ON p.id = s.person_id AND p.disabled_at IS NULL
         WHERE s.secret_hash = ${hashSecret(secret)} AND s.status = 'active' AND s.created_at > now() - interval '15 minutes'
           AND s.second_factor_at IS NULL AND has_second_factor(s.person_id)`
      const row = rows[0]
      return row === undefined
        ? undefined
        : {
            sessionId: brand(row.id),
            personId: brand(row.person_id),
            tenantId: row.tenant_id === null ? null : brand(row.tenant_id),
            method: row.method,
            browserHash: Buffer.from(row.browser_hash),
          }
    },

    async complete(tx, { sessionId, personId }) {
      const secret = newSecret(SECRET_PREFIX.webSession)
      const count = await tx.$executeRaw`
        UPDATE web_session SET status = 'pending', secret_hash = ${hashSecret(secret)}, second_factor_at = now(),
               authenticated_at = now(), created_at = now(), last_used_at = now()
         WHERE id = ${sessionId} AND person_id = ${personId} AND status = 'active' AND second_factor_at IS NULL
           AND created_at > now() - interval '15 minutes'`
      return count === 1 ? new Secret(secret) : undefined
    },

    async proveAgain(tx, { sessionId, personId }, withSecondFactor) {
      const count = await tx.$executeRaw`
        UPDATE web_session SET authenticated_at = now(),
               second_factor_at = CASE WHEN ${withSecondFactor} THEN now() ELSE second_factor_at END
         WHERE id = ${sessionId} AND person_id = ${personId} AND status = 'active'
           AND idle_expires_at > now() AND expires_at > now()`
      return count === 1
    },

    async end(tx, personId, sessionId, reason) {
      const count = await tx.$executeRaw`
        UPDATE web_session SET status = 'ended', ended_at = now(), ended_reason = ${reason}
         WHERE id = ${sessionId} AND person_id = ${personId} AND status <> 'ended'`
      return count === 1
    },

    async endAllOf(tx, personId, reason, except) {
      const rows = await tx.$queryRaw<{ id: Id<'webSession'> }[]>`
        UPDATE web_session SET status = 'ended', ended_at = now(), ended_reason = ${reason}
         WHERE person_id = ${personId} AND status <> 'ended' AND id <> ${except ?? ''} RETURNING id`
      return rows.map((row) => row.id)
    },

    async list(personId) {
      const rows = await global.$queryRaw<
        {
          id: string
          method: string
          network: string
          user_agent: string
          created_at: Date
          last_used_at: Date
          expires_at: Date
        }[]
      >`
        SELECT id, method, network, user_agent, created_at, last_used_at, LEAST(expires_at, idle_expires_at) AS expires_at FROM web_session
         WHERE person_id = ${personId} AND status = 'active' AND idle_expires_at > now() AND expires_at > now()
           AND (second_factor_at IS NOT NULL OR NOT has_second_factor(person_id))
         ORDER BY last_used_at DESC, id DESC LIMIT ${MAX_PER_PERSON}`
      return rows.map((row) => ({
        id: brand(row.id),
        method: row.method,
        network: row.network,
        userAgent: row.user_agent,
        createdAt: row.created_at,
        lastUsedAt: row.last_used_at,
        expiresAt: row.expires_at,
      }))
    },

    async isKnown(emailCanonical, browserHash, network) {
      const rows = await global.$queryRaw<{ id: string }[]>`
        SELECT id FROM person WHERE email_canonical = ${emailCanonical}`
      return knownTo(rows[0]?.id ?? '', browserHash, network)
    },

    isKnownTo: knownTo,
  }

  /** By sessions that were whole: half a sign-in makes nobody known. */
  async function knownTo(
    personId: string,
    browserHash: Buffer | undefined,
    network: string | undefined,
  ): Promise<boolean> {
    const rows = await global.$queryRaw<{ is_known: boolean }[]>`
      SELECT EXISTS (
        SELECT 1 FROM web_session s
         WHERE s.person_id = ${personId} AND s.activated_at IS NOT NULL
           AND (s.second_factor_at IS NOT NULL OR NOT has_second_factor(s.person_id))
           AND (s.browser_hash = ${browserHash ?? Buffer.alloc(0)}
                OR (s.network = ${network ?? null} AND s.last_used_at > now() - interval '30 days'))) AS is_known`
    return rows[0]?.is_known === true
  }
}

/** A client's text goes to a page and a terminal: printable characters only. */
const printable = (text: string) => text.replace(/[^\u0020-\u007e]/g, '')
