/**
 * Gathers what one person is to be told by mail into one mail, and keeps it to a few mails an hour. The mail is a row
 * committed together with the marks on what it tells: exactly one mail for each word, whoever dies where. Its text is
 * made when it is sent, from what is still true then.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import { queueMail } from '../identity/outgoing-mail'
import { brand, type Id, type PersonId, type TenantId } from '../ids'
import { membersOf } from './watch'

/** Mails about connections that one person gets within an hour, of all workspaces together. */
export const MAILS_AN_HOUR = 4
const BATCH = 200

export interface Digests {
  /** @returns the mails to announce; they are sent all the same when that is lost */
  queueDue(): Promise<readonly Id<'mail'>[]>
}

export function createDigests(deps: { readonly appDb: AppDb }): Digests {
  const { appDb } = deps

  const queueFor = (tenantId: TenantId, personId: PersonId) =>
    appDb.tenant(tenantId, async (tx): Promise<Id<'mail'> | undefined> => {
      // Another worker, or another workspace's digest, waits here: the count of an hour's mails must not be raced.
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('mail to ' || ${personId}, 0))`
      const [member] = await membersOf(tx, tenantId, { among: [personId] })
      await tx.$executeRaw`
        UPDATE notification n SET mail_due_at = NULL
         WHERE n.tenant_id = ${tenantId} AND n.person_id = ${personId} AND n.mail_due_at IS NOT NULL
           AND (${member === undefined} OR NOT EXISTS (
             SELECT 1 FROM connection_episode e WHERE e.tenant_id = n.tenant_id AND e.id = n.episode_id AND e.ended_at IS NULL))`
      const waiting = await tx.notification.count({ where: { tenantId, personId, mailDueAt: { not: null } } })
      if (waiting === 0) return undefined
      const [hour] = await tx.$queryRaw<{ mails: number; free_at: Date | null }[]>`
        SELECT count(*)::int AS mails, min(created_at) + interval '1 hour' AS free_at FROM (
          SELECT created_at FROM mail WHERE person_id = ${personId} AND kind = 'connections' AND created_at > now() - interval '1 hour'
           ORDER BY created_at DESC LIMIT ${MAILS_AN_HOUR}) m`
      if (hour !== undefined && hour.mails >= MAILS_AN_HOUR && hour.free_at !== null) {
        await tx.notification.updateMany({
          where: { tenantId, personId, mailDueAt: { not: null } },
          data: { mailDueAt: hour.free_at },
        })
        return undefined
      }
      const person = await tx.person.findUnique({ where: { id: personId }, select: { email: true } })
      if (person === null) return undefined
      const mailId = await queueMail(tx, { kind: 'connections', email: person.email, personId, data: { tenantId } })
      await tx.notification.updateMany({
        where: { tenantId, personId, mailDueAt: { not: null } },
        data: { mailDueAt: null, mailId },
      })
      return mailId
    })

  return {
    async queueDue() {
      const due = await appDb.global.$queryRaw<{ tenant_id: string; person_id: string }[]>`
        SELECT tenant_id, person_id FROM due_notification_mails(${BATCH}::int)`
      const mails: Id<'mail'>[] = []
      for (const { tenant_id, person_id } of due) {
        const mailId = await queueFor(brand<'tenant'>(tenant_id), brand<'person'>(person_id))
        if (mailId !== undefined) mails.push(mailId)
      }
      return mails
    },
  }
}
