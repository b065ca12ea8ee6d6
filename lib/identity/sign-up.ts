/**
 * How a person and their workspace come to be: the first ones by the link that a fresh installation prints, later ones,
 * where the operator allows it, by a link sent to the address they gave.
 *
 * Both links are spent by one conditional UPDATE in the transaction that makes person, workspace and session: of twenty
 * posts one succeeds, and a failure leaves the link as it was.
 *
 * @module
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

import type { AppDb, AppTx } from '../db/app-db'
import { AppError } from '../errors'
import { hashSecret, newSecret, type Id } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import { insertTenant } from '../tenancy/tenants'
import { isSecret, SECRET_PREFIX } from './cookies'
import { parseDisplayName } from './display-name'
import { parseEmailAddress, type EmailAddress } from './email-address'
import { askForLink, inspectLink, spendLink, type LinkPurpose } from './email-tokens'
import type { SignInLimits } from './limits'
import { queueMail, type AnnounceMail } from './outgoing-mail'
import { checkNewPassword } from './password-policy'
import type { Passwords } from './password'
import { insertPerson } from './people'
import type { SignInMethod, WebSessions } from './sessions'
import type { Ticket, Visitor } from './visitor'

export interface NewWorkspace {
  readonly workspaceName: string
  readonly name: string
  readonly password: string
}

export interface SignUp {
  /**
   * While no person exists: makes a new link, forgets the one before, and writes its URL to `<dataDir>/signup-link` (0600).
   *
   * @returns the file, or undefined when somebody exists and there is nothing to set up
   */
  prepareFirstLink(): Promise<string | undefined>
  /** @throws AppError `auth.link_invalid` when the link was used or replaced, or somebody exists already */
  useFirstLink(secret: string, input: NewWorkspace & { readonly email: string }, visitor: Visitor): Promise<Ticket>
  /** What an open link is for and for whom; spends nothing. @throws AppError `auth.link_invalid` */
  inspectFirstLink(secret: string, network: string): Promise<{ readonly purpose: 'setup' }>
  inspectLink(secret: string, network: string): Promise<{ readonly purpose: LinkPurpose; readonly email: string }>
  /** @throws AppError `auth.forbidden` where strangers may not sign up. Says nothing about the address. */
  askToSignUp(email: string, visitor: Visitor): Promise<void>
  /** @throws AppError `auth.link_invalid` */
  useSignUpLink(secret: string, input: NewWorkspace, visitor: Visitor): Promise<Ticket>
}

export interface SignUpDependencies {
  readonly appDb: AppDb
  readonly passwords: Passwords
  readonly sessions: WebSessions
  readonly limits: SignInLimits
  readonly events: RecordsEvents
  readonly announceMail: AnnounceMail
  readonly dataDir: string
  readonly publicUrl: string
  readonly selfServiceSignUp: boolean
}

export const linkInvalid = (): AppError =>
  new AppError('auth.link_invalid', 'This link was used, is too old, or is not complete. Ask for a new one.')

export function createSignUp(deps: SignUpDependencies): SignUp {
  const { appDb, passwords, sessions, limits, events } = deps
  const file = path.join(deps.dataDir, 'signup-link')

  // 256 random bits are not guessed: only the noise of one network is stopped, so that no crowd can close the door.
  const countLink = (visitor: Pick<Visitor, 'network'>) =>
    limits.count('link', { network: visitor.network, isKnown: () => Promise.resolve(true) })

  /** Person, workspace, session and the records of it, in the caller's transaction. */
  async function make(
    tx: AppTx,
    input: {
      readonly email: EmailAddress
      readonly isEmailVerified: boolean
      readonly name: string
      readonly workspaceName: string
      readonly passwordHash: string
      readonly method: SignInMethod
    },
    visitor: Visitor,
  ): Promise<Ticket> {
    const personId = await insertPerson(tx, input)
    const actor = { kind: 'person', personId } as const
    const { id: tenantId } = await insertTenant(tx, events, {
      name: input.workspaceName,
      owner: personId,
      actor,
      network: visitor.network,
    })
    await events.event(tx, {
      tenantId,
      action: 'person.signed_up',
      actor,
      network: visitor.network,
    })
    const session = await sessions.start(tx, { personId, tenantId, method: input.method, ...visitor })
    return { personId, ...session }
  }

  async function isFirstLinkOpen(secret: string): Promise<boolean> {
    if (!isSecret(SECRET_PREFIX.setupLink, secret)) return false
    const open = await appDb.global.$queryRaw<unknown[]>`
      SELECT 1 FROM setup_link WHERE secret_hash = ${hashSecret(secret)} AND used_at IS NULL`
    return open.length > 0
  }

  return {
    async prepareFirstLink() {
      const isFirst = await appDb.transaction(async (tx) => {
        if ((await tx.person.count({ take: 1 })) > 0) return false
        const secret = newSecret(SECRET_PREFIX.setupLink)
        await tx.$executeRaw`
          INSERT INTO setup_link (id, secret_hash) VALUES (true, ${hashSecret(secret)})
          ON CONFLICT (id) DO UPDATE SET secret_hash = EXCLUDED.secret_hash, created_at = now(), used_at = NULL`
        // Written while the row is locked: of two gateways that boot together, the file names the link that lasts.
        await mkdir(deps.dataDir, { recursive: true })
        const fresh = `${file}.${process.pid}`
        await rm(fresh, { force: true })
        await writeFile(fresh, `${deps.publicUrl}/sign-up#${secret}\n`, { mode: 0o600, flag: 'wx' })
        await rename(fresh, file)
        return true
      })
      if (!isFirst) await rm(file, { force: true })
      return isFirst ? file : undefined
    },

    async useFirstLink(secret, input, visitor) {
      await countLink(visitor)
      const email = parseEmailAddress(input.email)
      const name = parseDisplayName(input.name, 'name')
      const workspaceName = parseDisplayName(input.workspaceName, 'workspaceName')
      checkNewPassword(input.password, { email: email.address, name, workspaceName })
      // Looked at before hashing, so that a wrong link costs nobody an argon2 computation.
      if (!(await isFirstLinkOpen(secret))) throw linkInvalid()
      const passwordHash = await passwords.hash(input.password)

      const { ticket, mailId } = await appDb.transaction(async (tx) => {
        const spent = await tx.$executeRaw`
          UPDATE setup_link SET used_at = now() WHERE secret_hash = ${hashSecret(secret)} AND used_at IS NULL`
        if (spent !== 1 || (await tx.person.count({ take: 1 })) > 0) throw linkInvalid()
        const made = await make(
          tx,
          { email, isEmailVerified: false, name, workspaceName, passwordHash, method: 'setup' },
          visitor,
        )
        const refId = await askForLink(tx, { purpose: 'verify_email', email: email.address, personId: made.personId })
        const queued = await queueMail(tx, {
          kind: 'verify_email',
          email: email.address,
          personId: made.personId,
          refId,
        })
        return { ticket: made, mailId: queued }
      })
      await rm(file, { force: true })
      await deps.announceMail(mailId)
      return ticket
    },

    async inspectFirstLink(secret, network) {
      await countLink({ network })
      if (!(await isFirstLinkOpen(secret))) throw linkInvalid()
      return { purpose: 'setup' }
    },

    async inspectLink(secret, network) {
      await countLink({ network })
      const link = await inspectLink(appDb.global, secret)
      if (link === undefined) throw linkInvalid()
      return { purpose: link.purpose, email: link.email }
    },

    async askToSignUp(email, visitor) {
      checkSelfService(deps)
      const address = parseEmailAddress(email)
      await limits.count('mail', {
        account: address.canonical,
        network: visitor.network,
        isKnown: () => sessions.isKnown(address.canonical, visitor.browserHash, visitor.network),
      })
      const mailId: Id<'mail'> = await appDb.transaction(async (tx) => {
        const refId = await askForLink(tx, { purpose: 'sign_up', email: address.address })
        return queueMail(tx, { kind: 'sign_up', email: address.address, refId })
      })
      await deps.announceMail(mailId)
    },

    async useSignUpLink(secret, input, visitor) {
      checkSelfService(deps)
      await countLink(visitor)
      const link = await inspectLink(appDb.global, secret)
      if (link?.purpose !== 'sign_up') throw linkInvalid()
      const email = parseEmailAddress(link.email)
      const name = parseDisplayName(input.name, 'name')
      const workspaceName = parseDisplayName(input.workspaceName, 'workspaceName')
      checkNewPassword(input.password, { email: email.address, name, workspaceName })
      const passwordHash = await passwords.hash(input.password)
      return appDb.transaction(async (tx) => {
        if ((await spendLink(tx, ['sign_up'], secret)) === undefined) throw linkInvalid()
        return make(tx, { email, isEmailVerified: true, name, workspaceName, passwordHash, method: 'sign_up' }, visitor)
      })
    },
  }
}

function checkSelfService(deps: SignUpDependencies): void {
  if (!deps.selfServiceSignUp)
    throw new AppError('auth.forbidden', 'This server takes no sign-ups. Ask its administrator for an account.')
}
