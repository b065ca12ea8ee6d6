/**
 * Mail as rows: committed with what it tells of, sent by the worker. Losing the queue loses no mail, because the row is
 * found by the next scan.
 *
 * @module
 */
import type { AppTx } from '../db/app-db'
import { newId, type Id, type PersonId } from '../ids'

/** What can be sent. The words are in lib/notifications. */
export type MailKind =
  | 'magic_link'
  | 'verify_email'
  | 'change_email'
  | 'reset_password'
  | 'sign_up'
  | 'password_changed'
  | 'email_changed'
  | 'notice'
  /** Names the invitation; its secret is made when it is sent. */
  | 'invitation'
  /** What happened to somebody's connections: found by the mail's own id when it is sent. */
  | 'connections'

export interface OutgoingMail {
  readonly kind: MailKind
  readonly email: string
  readonly personId?: PersonId
  /** The link's row, for the kinds that carry one. */
  readonly refId?: Id<'emailToken'>
  /** Plain facts for the text. Never a secret: the row is readable by every process. */
  readonly data?: Readonly<Record<string, string | number>>
}

/** Adds a mail to be sent. Announce its id to the queue once the transaction is committed. */
export async function queueMail(tx: Pick<AppTx, 'mail'>, mail: OutgoingMail): Promise<Id<'mail'>> {
  const id = newId('mail')
  await tx.mail.create({
    data: {
      id,
      kind: mail.kind,
      email: mail.email,
      refId: mail.refId ?? null,
      personId: mail.personId ?? null,
      data: { ...mail.data },
    },
  })
  return id
}

/** Tells the worker that a mail waits. Never fails its caller: the row is the truth, this only makes it quick. */
export type AnnounceMail = (mailId: Id<'mail'>) => Promise<void>
