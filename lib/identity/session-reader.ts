/**
 * Sessions as the pages' process may touch them: it looks one up by its hash and activates one that waits, through two
 * functions of the database, and can neither make, change nor end any.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import { brand, hashSecret, type Id, type PersonId, type TenantId } from '../ids'
import { browserHash, isSecret, SECRET_PREFIX } from './cookies'

export interface ReadSession {
  readonly sessionId: Id<'webSession'>
  readonly personId: PersonId
  readonly tenantId: TenantId | null
}

export interface SessionReader {
  /** The session of a cookie's secret, when it is active at this moment. */
  find(secret: string | undefined): Promise<ReadSession | undefined>
  /**
   * Activates a waiting session: once, within a minute of its making, in the browser that it was made for.
   *
   * @returns whose it is, or undefined when any of that does not hold
   */
  redeem(ticket: string | undefined, browser: string | undefined): Promise<PersonId | undefined>
}

/** @param db  with the rights of the web role */
export function createSessionReader(db: Pick<AppDb, 'global'>): SessionReader {
  return {
    async find(secret) {
      if (!isSecret(SECRET_PREFIX.webSession, secret)) return undefined
      const rows = await db.global.$queryRaw<{ session_id: string; person_id: string; tenant_id: string | null }[]>`
        SELECT session_id, person_id, tenant_id FROM session_by_hash(${hashSecret(secret)})`
      const row = rows[0]
      return row === undefined
        ? undefined
        : {
            sessionId: brand(row.session_id),
            personId: brand(row.person_id),
            tenantId: row.tenant_id === null ? null : brand(row.tenant_id),
          }
    },

    async redeem(ticket, browser) {
      const bound = browserHash(browser)
      if (bound === undefined || !isSecret(SECRET_PREFIX.webSession, ticket)) return undefined
      const rows = await db.global.$queryRaw<{ person_id: string }[]>`
        SELECT person_id FROM redeem_ticket(${hashSecret(ticket)}, ${bound})`
      return rows[0] === undefined ? undefined : brand(rows[0].person_id)
    },
  }
}
