/**
 * Sends what is in the `mail` table, each row once. A row is claimed by one conditional UPDATE that also puts it out of
 * reach of others for longer than a delivery can take; the result is written only by the one who holds the claim. A
 * process that dies while it sends leaves a row that becomes due again: at least once, and never forgotten.
 *
 * The secret of a link is made here, after the claim, goes into the mail and is kept nowhere.
 *
 * @module
 */
import { z } from 'zod'

import type { AppDb } from '../db/app-db'
import { findEmailAddress } from '../identity/email-address'
import { mintLink } from '../identity/email-tokens'
import { INVITATION_PATH, mintInvitation } from '../identity/invitation-link'
import { brand, isId, type Id, type TenantId } from '../ids'
import type { Log } from '../log'
import { contentOf, renderMail, type MailFacts } from './templates'
import { DELIVERY_LIMIT_MS, type MailTransport } from './transport'
import { membersOf } from './watch'
import { bodyOf, headlineOf, parseKind, pathOf } from './words'

export const MAX_MAIL_ATTEMPTS = 10
const CLAIM_SECONDS = (DELIVERY_LIMIT_MS * 2) / 1_000
const FIRST_DELAY_SECONDS = 15
const MAX_DELAY_SECONDS = 3_600

export type SendResult =
  | 'sent'
  /** Nobody it could be for, or its link has expired: the row is gone. */
  | 'dropped'
  /** Due again later. */
  | 'deferred'
  | 'failed'
  /** Sent already, not due yet, or in another worker's hands. */
  | 'not_mine'

export interface Mailer {
  send(mailId: string): Promise<SendResult>
  /** Mails that are due, oldest first: what a lost job leaves behind. */
  due(limit: number): Promise<readonly Id<'mail'>[]>
  close(): void
}

export function createMailer(deps: {
  readonly appDb: AppDb
  readonly transport: MailTransport
  readonly publicUrl: string
  readonly log: Log
}): Mailer {
  const { appDb, transport, publicUrl, log } = deps
  const { global } = appDb

  return {
    async send(mailId) {
      const claimed = await global.$queryRaw<ClaimedMail[]>`
        UPDATE mail SET attempts = attempts + 1, next_at = now() + make_interval(secs => ${CLAIM_SECONDS}::int)
         WHERE id = ${mailId} AND status = 'queued' AND next_at <= now()
        RETURNING id, kind, ref_id, person_id, email, data, attempts`
      const row = claimed[0]
      if (row === undefined) return 'not_mine'

      const prepared = await prepare(appDb, publicUrl, row)
      if (prepared === undefined) {
        // Kept no longer: a stranger's address is nobody's business to store.
        await appDb.transaction(async (tx) => {
          await tx.$executeRaw`DELETE FROM mail WHERE id = ${row.id} AND attempts = ${row.attempts}`
          if (row.ref_id !== null) await tx.$executeRaw`DELETE FROM email_token WHERE id = ${row.ref_id}`
        })
        return 'dropped'
      }

      const result = await transport.deliver(row.id, prepared.to, renderMail(contentOf(prepared.facts)))
      switch (result.kind) {
        case 'delivered':
          await global.$executeRaw`
            UPDATE mail SET status = 'sent', sent_at = now() WHERE id = ${row.id} AND attempts = ${row.attempts} AND status = 'queued'`
          log.info({ mailId: row.id, kind: row.kind }, 'mail sent')
          return 'sent'
        case 'later':
          if (row.attempts < MAX_MAIL_ATTEMPTS) {
            await global.$executeRaw`
              UPDATE mail SET next_at = now() + make_interval(secs => ${delaySeconds(row.attempts)}::int)
               WHERE id = ${row.id} AND attempts = ${row.attempts} AND status = 'queued'`
            log.warn({ mailId: row.id, kind: row.kind, reason: result.code, attempts: row.attempts }, 'mail deferred')
            return 'deferred'
          }
          break
        case 'refused':
          break
      }
      await global.$executeRaw`
        UPDATE mail SET status = 'failed' WHERE id = ${row.id} AND attempts = ${row.attempts} AND status = 'queued'`
      log.error({ mailId: row.id, kind: row.kind, reason: result.code, attempts: row.attempts }, 'mail failed')
      return 'failed'
    },

    async due(limit) {
      const rows = await global.$queryRaw<{ id: string }[]>`
        SELECT id FROM mail WHERE status = 'queued' AND next_at <= now() ORDER BY next_at LIMIT ${limit}`
      return rows.map((row) => brand<'mail'>(row.id))
    },

    close: () => transport.close(),
  }
}

interface ClaimedMail {
  readonly id: string
  readonly kind: string
  readonly ref_id: string | null
  readonly person_id: string | null
  readonly email: string
  readonly data: unknown
  readonly attempts: number
}

/** 15 s, 30 s, 1 min … one hour. */
const delaySeconds = (attempts: number) => Math.min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempts - 1))

/** Items of one mail. A thousand accounts that failed together are a number, not a list. */
const MAX_MAIL_ITEMS = 20

const connections = z.object({ tenantId: z.string().refine((value) => isId('tenant', value)) })
const invitation = connections.extend({ invitationId: z.string().refine((value) => isId('invitation', value)) })
const emailChanged = z.object({ newEmail: z.string() })
/** `path` is a page of ours; what a domain stores can never send people elsewhere. */
const notice = z.object({
  title: z.string(),
  body: z.string(),
  label: z.string().default('Open Portcullis'),
  path: z
    .string()
    .regex(/^\/(?![/\\])/)
    .default('/'),
})

/** Decides whom it is for and what it says. @returns undefined when it is for nobody (any more) */
async function prepare(
  appDb: AppDb,
  publicUrl: string,
  row: ClaimedMail,
): Promise<{ readonly to: string; readonly facts: MailFacts } | undefined> {
  if (row.ref_id !== null) {
    const link = await mintLink(appDb, row.ref_id)
    if (link.kind === 'nothing') return undefined
    if (link.kind === 'has_account')
      return { to: link.email, facts: { kind: 'has_account', name: link.name, url: `${publicUrl}/login` } }
    // In the fragment, which no server, log, proxy or referrer sees (RFC 9110 §4.2.5, §10.1.3).
    const url = `${publicUrl}${link.path}#${link.secret.reveal()}`
    return { to: link.email, facts: { kind: link.purpose, name: link.name, url, minutes: link.minutes } }
  }
  const to = findEmailAddress(row.email)?.address
  if (to === undefined) return undefined
  const person = row.person_id === null ? null : await appDb.global.person.findUnique({ where: { id: row.person_id } })
  const name = person?.name ?? ''
  switch (row.kind) {
    case 'password_changed':
      return { to, facts: { kind: 'password_changed', name, url: `${publicUrl}/settings/account` } }
    case 'email_changed': {
      const data = emailChanged.safeParse(row.data)
      return data.success
        ? { to, facts: { kind: 'email_changed', name, newEmail: data.data.newEmail, url: publicUrl } }
        : undefined
    }
    case 'notice': {
      const data = notice.safeParse(row.data)
      if (!data.success) return undefined
      const { title, body, label, path } = data.data
      return { to, facts: { kind: 'notice', name, title, body, label, url: new URL(path, publicUrl).href } }
    }
    case 'invitation': {
      const data = invitation.safeParse(row.data)
      if (!data.success) return undefined
      const minted = await mintInvitation(appDb, brand<'tenant'>(data.data.tenantId), data.data.invitationId)
      if (minted === undefined) return undefined
      const url = `${publicUrl}${INVITATION_PATH}#${minted.secret.reveal()}`
      const { workspace, inviter, role, days } = minted
      return { to: minted.email, facts: { kind: 'invitation', workspace, inviter, role, days, url } }
    }
    case 'connections': {
      const data = connections.safeParse(row.data)
      if (!data.success || row.person_id === null) return undefined
      const facts = await connectionFacts(appDb, publicUrl, brand<'tenant'>(data.data.tenantId), row.person_id, row.id)
      return facts === undefined ? undefined : { to, facts: { ...facts, name } }
    }
    default:
      return undefined // written by a newer version: dropped rather than sent half understood
  }
}

/**
 * What this mail has to tell by now: what is over is left out, and a connection that went from bad to worse is told once.
 *
 * @returns undefined when nothing is left, or the person has left
 */
async function connectionFacts(
  appDb: AppDb,
  publicUrl: string,
  tenantId: TenantId,
  personId: string,
  mailId: string,
): Promise<Omit<Extract<MailFacts, { kind: 'connections' }>, 'name'> | undefined> {
  return appDb.tenant(tenantId, async (tx) => {
    const [member] = await membersOf(tx, tenantId, { among: [personId] })
    const tenant = await tx.tenant.findUnique({ where: { id: tenantId }, select: { name: true, disabledAt: true } })
    if (member === undefined || tenant === null || tenant.disabledAt !== null) return undefined
    const rows = await tx.$queryRaw<DigestRow[]>`
      SELECT * FROM (
        SELECT DISTINCT ON (n.episode_id) n.id, n.kind, n.provider, n.label, n.reason, n.is_owner, n.connection_id, n.step
          FROM notification n
          JOIN connection_episode e ON e.tenant_id = n.tenant_id AND e.id = n.episode_id AND e.ended_at IS NULL
         WHERE n.tenant_id = ${tenantId} AND n.mail_id = ${mailId} AND n.person_id = ${personId}
         ORDER BY n.episode_id, n.step DESC) x
       ORDER BY step DESC, id`
    if (rows.length === 0) return undefined
    return {
      kind: 'connections',
      workspace: tenant.name,
      items: rows.slice(0, MAX_MAIL_ITEMS).flatMap((row) => {
        const kind = parseKind(row.kind)
        if (kind === undefined) return []
        return [
          {
            title: headlineOf(kind, row.provider, row.label),
            text: bodyOf(kind, { provider: row.provider, reason: row.reason, isOwner: row.is_owner }),
            url: publicUrl + pathOf(kind, row.connection_id),
          },
        ]
      }),
      more: Math.max(0, rows.length - MAX_MAIL_ITEMS),
      url: `${publicUrl}/notifications`,
    }
  })
}

interface DigestRow {
  readonly id: string
  readonly kind: string
  readonly provider: string | null
  readonly label: string
  readonly reason: string | null
  readonly is_owner: boolean
  readonly connection_id: string | null
}
