/**
 * Inviting somebody into a workspace: bound to one address, open for some days, accepted once. Of twenty who accept at
 * the same moment one does, because accepting begins with one conditional UPDATE.
 *
 * Who invites must still be allowed to when it is accepted: an invitation of somebody who has left, or who may no longer
 * give that role, opens nothing. Accepting needs the invited mailbox: the mailed link proves it, or an account of that
 * address which has proven it before. So the link that the inviter sees makes nobody an account in another's name.
 *
 * @module
 */
import { actorOf } from '../audit/record'
import type { AppDb, AppTx } from '../db/app-db'
import { AppError, notFound } from '../errors'
import { brand, hashSecret, isId, newId, newSecret, type Id, type PersonId, type TenantId } from '../ids'
import { Secret } from '../secret'
import { actingRole, checkReach, forbidden } from '../tenancy/acting'
import type { RecordsEvents } from '../tenancy/events'
import { checkPermission, isPermitted } from '../tenancy/permission'
import type { MemberPrincipal, Role } from '../tenancy/principal'
import { holdQuota } from '../tenancy/quotas'
import { parseRole, reaches } from '../tenancy/role'
import { SECRET_PREFIX } from './cookies'
import { parseDisplayName } from './display-name'
import { parseEmailAddress } from './email-address'
import { requireOwnSignIn } from './entry'
import { findInvitation, type FoundInvitation } from './invitation-link'
import type { SignInLimits } from './limits'
import { queueMail, type AnnounceMail } from './outgoing-mail'
import { checkNewPassword } from './password-policy'
import type { Passwords } from './password'
import { insertPerson } from './people'
import type { WebSession, WebSessions } from './sessions'
import { linkInvalid } from './sign-up'
import type { Ticket, Visitor } from './visitor'

export const DEFAULT_INVITATION_DAYS = 7
export const MAX_INVITATION_DAYS = 30

export interface Invitation {
  readonly id: Id<'invitation'>
  readonly email: string
  readonly role: Role
  /** Null: the operator. */
  readonly invitedBy: PersonId | null
  readonly createdAt: Date
  readonly expiresAt: Date
  readonly acceptedAt: Date | null
  readonly revokedAt: Date | null
}

/** What somebody who holds a link is shown before they decide. */
export interface ShownInvitation {
  readonly workspace: string
  readonly role: Role
  readonly email: string
  /** Empty: the operator. */
  readonly inviter: string
  readonly expiresAt: Date
  /** Whether the link came out of the invited mailbox. Without that nobody learns whether the address has an account. */
  readonly isMailed: boolean
  /** Told to the mailbox alone. */
  readonly hasAccount: boolean | null
}

export interface Invitations {
  /** Withdraws an open one to the same address. @returns it with its link's secret, which is not kept */
  create(
    principal: MemberPrincipal,
    input: { readonly email: string; readonly role: Role; readonly days: number },
  ): Promise<{ readonly invitation: Invitation; readonly secret: Secret }>
  /** Open ones first, then the newest. */
  list(principal: MemberPrincipal): Promise<readonly Invitation[]>
  /** Withdrawing twice is the same. */
  revoke(principal: MemberPrincipal, id: string): Promise<void>
  /** Spends nothing. @throws AppError `auth.link_invalid` */
  inspect(secret: string, network: string): Promise<ShownInvitation>
  /** Sends the mailed link to the invited address (again). @throws AppError `auth.link_invalid` */
  sendMail(secret: string, visitor: Visitor): Promise<void>
  /**
   * For somebody who has an account: the one who is signed in, or, by the mailed link, whoever the mailbox belongs to.
   *
   * @returns the workspace
   * @throws AppError `auth.link_invalid`, `auth.forbidden` when they are somebody else, `resource.conflict` for a member
   */
  accept(secret: string, session: WebSession | undefined, network: string): Promise<TenantId>
  /** For somebody new, by the mailed link: makes their account and a session. @throws AppError `auth.link_invalid` */
  join(secret: string, input: { readonly name: string; readonly password: string }, visitor: Visitor): Promise<Ticket>
}

export function createInvitations(deps: {
  readonly appDb: AppDb
  readonly passwords: Passwords
  readonly sessions: WebSessions
  readonly limits: SignInLimits
  readonly events: RecordsEvents
  readonly announceMail: AnnounceMail
}): Invitations {
  const { appDb, passwords, sessions, limits, events } = deps

  // 256 random bits are not guessed: only the noise of one network is stopped.
  const countLink = (network: string) => limits.count('link', { network, isKnown: () => Promise.resolve(true) })

  // A count of its own: mail that others ask for takes nothing from the links that the address's owner asks for.
  const countMail = (canonical: string, network: string) =>
    limits.count('mail', { account: `invitation ${canonical}`, network, isKnown: () => Promise.resolve(false) })

  const findOpen = async (secret: string): Promise<FoundInvitation & { readonly row: OpenRow }> => {
    const found = await findInvitation(appDb.global, secret)
    if (found === undefined) throw linkInvalid()
    const [row] = await appDb.tenant(
      found.tenantId,
      (tx) => tx.$queryRaw<OpenRow[]>`
        SELECT i.email, i.email_canonical, i.role, i.expires_at, t.name AS workspace,
               (SELECT COALESCE(NULLIF(p.name, ''), p.email) FROM person p WHERE p.id = i.invited_by) AS inviter,
               EXISTS (SELECT 1 FROM person p WHERE p.email_canonical = i.email_canonical) AS has_account
          FROM invitation i JOIN tenant t ON t.id = i.tenant_id AND t.disabled_at IS NULL
         WHERE i.tenant_id = ${found.tenantId} AND i.id = ${found.id} AND i.accepted_at IS NULL AND i.revoked_at IS NULL
           AND i.expires_at > now()`,
    )
    if (row === undefined) throw linkInvalid()
    return { ...found, row }
  }

  /** Spends it; whatever refuses afterwards leaves it as it was. @returns its address and role */
  async function spend(tx: AppTx, { tenantId, id }: FoundInvitation): Promise<{ canonical: string; role: Role }> {
    const [row] = await tx.$queryRaw<{ email_canonical: string; role: string; invited_by: string | null }[]>`
      UPDATE invitation i SET accepted_at = now() FROM tenant t
       WHERE i.tenant_id = ${tenantId} AND i.id = ${id} AND i.accepted_at IS NULL AND i.revoked_at IS NULL
         AND i.expires_at > now() AND t.id = i.tenant_id AND t.disabled_at IS NULL
      RETURNING i.email_canonical, i.role, i.invited_by`
    if (row === undefined) throw linkInvalid()
    const role = parseRole(row.role)
    if (row.invited_by !== null && !(await mayInvite(tx, tenantId, row.invited_by, role))) throw linkInvalid()
    return { canonical: row.email_canonical, role }
  }

  async function enter(
    tx: AppTx,
    { tenantId, id }: FoundInvitation,
    member: { readonly personId: PersonId; readonly role: Role; readonly network: string },
  ): Promise<void> {
    const { personId, role, network } = member
    await holdQuota(tx, tenantId, 'members')
    if ((await tx.membership.count({ where: { tenantId, personId } })) > 0)
      throw new AppError('resource.conflict', 'You are a member of this workspace already.')
    await tx.membership.create({ data: { tenantId, personId, role } })
    await tx.invitation.updateMany({ where: { tenantId, id }, data: { acceptedBy: personId } })
    const record = { tenantId, actor: { kind: 'person', personId } as const, network }
    await events.event(tx, { ...record, action: 'invitation.accepted', targetId: id })
    await events.event(tx, { ...record, action: 'member.added', detail: { personId, role } })
  }

  return {
    async create(principal, input) {
      checkPermission(principal, 'invitation.create')
      const email = parseEmailAddress(input.email)
      if (!Number.isInteger(input.days) || input.days < 1 || input.days > MAX_INVITATION_DAYS)
        throw new AppError('request.invalid', `Between 1 and ${MAX_INVITATION_DAYS} days.`, { field: 'days' })
      const { tenantId } = principal
      if (principal.kind !== 'operator') await countMail(email.canonical, principal.network)
      const secret = newSecret(SECRET_PREFIX.invitation)
      const id = newId('invitation')
      const made = await appDb.tenant(tenantId, async (tx) => {
        const own = await actingRole(tx, principal)
        if (!isPermitted(own, 'invitation.create')) throw forbidden()
        checkReach(own, input.role)
        await holdQuota(tx, tenantId, 'invitations')
        const [member] = await tx.$queryRaw<unknown[]>`
          SELECT 1 FROM membership m JOIN person p ON p.id = m.person_id
           WHERE m.tenant_id = ${tenantId} AND p.email_canonical = ${email.canonical}`
        if (member !== undefined)
          throw new AppError('resource.conflict', 'This person is a member already.', { field: 'email' })
        const replaced = await tx.$queryRaw<{ id: string }[]>`
          UPDATE invitation SET revoked_at = now()
           WHERE tenant_id = ${tenantId} AND email_canonical = ${email.canonical} AND accepted_at IS NULL AND revoked_at IS NULL
          RETURNING id`
        const record = { tenantId, actor: actorOf(principal), network: principal.network }
        for (const { id: before } of replaced)
          await events.never(tx, { ...record, action: 'invitation.revoked', targetId: before, reason: 'replaced' })
        const [row] = await tx.$queryRaw<{ created_at: Date; expires_at: Date }[]>`
          INSERT INTO invitation (tenant_id, id, email, email_canonical, role, secret_hash, invited_by, expires_at)
          VALUES (${tenantId}, ${id}, ${email.address}, ${email.canonical}, ${input.role}, ${hashSecret(secret)},
                  ${principal.kind === 'operator' ? null : principal.personId}, now() + make_interval(days => ${input.days}::int))
          RETURNING created_at, expires_at`
        if (row === undefined) throw new AppError('internal', 'Something went wrong on our side.')
        await events.event(tx, {
          ...record,
          action: 'invitation.created',
          targetId: id,
          detail: { email: email.address, role: input.role, days: input.days },
        })
        const mailId = await queueMail(tx, {
          kind: 'invitation',
          email: email.address,
          data: { tenantId, invitationId: id },
        })
        return { row, mailId }
      })
      await deps.announceMail(made.mailId).catch(() => undefined)
      return {
        invitation: {
          id,
          email: email.address,
          role: input.role,
          invitedBy: principal.kind === 'operator' ? null : principal.personId,
          createdAt: made.row.created_at,
          expiresAt: made.row.expires_at,
          acceptedAt: null,
          revokedAt: null,
        },
        secret: new Secret(secret),
      }
    },

    async list(principal) {
      checkPermission(principal, 'invitation.read')
      const rows = await appDb.tenant(principal.tenantId, (tx) =>
        tx.invitation.findMany({
          where: { tenantId: principal.tenantId },
          omit: { secretHash: true, mailSecretHash: true },
          orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
          take: 500,
        }),
      )
      return rows.map((row) => ({
        id: brand<'invitation'>(row.id),
        email: row.email,
        role: parseRole(row.role),
        invitedBy: row.invitedBy === null ? null : brand<'person'>(row.invitedBy),
        createdAt: row.createdAt,
        expiresAt: row.expiresAt,
        acceptedAt: row.acceptedAt,
        revokedAt: row.revokedAt,
      }))
    },

    async revoke(principal, id) {
      checkPermission(principal, 'invitation.revoke')
      if (!isId('invitation', id)) throw notFound()
      const { tenantId } = principal
      await appDb.tenant(tenantId, async (tx) => {
        const row = await tx.invitation.findUnique({ where: { tenantId_id: { tenantId, id } } })
        if (row === null) throw notFound()
        const count = await tx.$executeRaw`
          UPDATE invitation SET revoked_at = now()
           WHERE tenant_id = ${tenantId} AND id = ${id} AND accepted_at IS NULL AND revoked_at IS NULL`
        if (count === 0) return
        await events.never(tx, {
          tenantId,
          action: 'invitation.revoked',
          actor: actorOf(principal),
          targetId: id,
          network: principal.network,
        })
      })
    },

    async inspect(secret, network) {
      await countLink(network)
      const { row, isMailed } = await findOpen(secret)
      return {
        workspace: row.workspace,
        role: parseRole(row.role),
        email: row.email,
        inviter: row.inviter ?? '',
        expiresAt: row.expires_at,
        isMailed,
        hasAccount: isMailed ? row.has_account : null,
      }
    },

    async sendMail(secret, visitor) {
      await countLink(visitor.network)
      const { row, tenantId, id } = await findOpen(secret)
      await countMail(row.email_canonical, visitor.network)
      const mailId = await appDb.transaction((tx) =>
        queueMail(tx, { kind: 'invitation', email: row.email, data: { tenantId, invitationId: id } }),
      )
      await deps.announceMail(mailId).catch(() => undefined)
    },

    async accept(secret, session, network) {
      await countLink(network)
      if (session !== undefined) requireOwnSignIn(session)
      const found = await findInvitation(appDb.global, secret)
      if (found === undefined) throw linkInvalid()
      return appDb.tenant(found.tenantId, async (tx) => {
        const { canonical, role } = await spend(tx, found)
        if (session === undefined && !found.isMailed)
          throw new AppError(
            'auth.unauthenticated',
            'Sign in with the address that is invited, then open the link again.',
          )
        const person = await tx.person.findUnique({
          where: session === undefined ? { emailCanonical: canonical } : { id: session.personId },
        })
        if (person === null || person.disabledAt !== null) throw linkInvalid()
        if (person.emailCanonical !== canonical)
          throw new AppError(
            'auth.forbidden',
            'This invitation is for another address than the one you are signed in with.',
          )
        if (person.emailVerifiedAt === null) {
          if (!found.isMailed)
            throw new AppError('auth.forbidden', 'Use the link in the mail: your address is not confirmed yet.')
          // The link came out of this mailbox, so the mailbox is the person's.
          await tx.person.update({ where: { id: person.id }, data: { emailVerifiedAt: new Date() } })
        }
        const personId = brand<'person'>(person.id)
        await enter(tx, found, { personId, role, network })
        if (session !== undefined)
          await tx.$executeRaw`
            UPDATE web_session SET tenant_id = ${found.tenantId} WHERE id = ${session.sessionId} AND status = 'active'`
        return found.tenantId
      })
    },

    async join(secret, input, visitor) {
      await countLink(visitor.network)
      const { row, ...found } = await findOpen(secret)
      if (!found.isMailed) throw linkInvalid()
      if (row.has_account)
        throw new AppError('resource.conflict', 'This address has an account. Accept with it instead.')
      const name = parseDisplayName(input.name, 'name')
      checkNewPassword(input.password, { email: row.email, name, workspaceName: row.workspace })
      const passwordHash = await passwords.hash(input.password)
      return appDb.tenant(found.tenantId, async (tx) => {
        const { role } = await spend(tx, found)
        const email = parseEmailAddress(row.email)
        const personId = await insertPerson(tx, { email, name, passwordHash, isEmailVerified: true })
        await enter(tx, found, { personId, role, network: visitor.network })
        await events.event(tx, {
          tenantId: found.tenantId,
          action: 'person.signed_up',
          actor: { kind: 'person', personId },
          network: visitor.network,
        })
        const session = await sessions.start(tx, { personId, tenantId: found.tenantId, method: 'sign_up', ...visitor })
        return { personId, ...session }
      })
    },
  }
}

interface OpenRow {
  readonly email: string
  readonly email_canonical: string
  readonly role: string
  readonly expires_at: Date
  readonly workspace: string
  readonly inviter: string | null
  readonly has_account: boolean
}

/** Whether this person may give this role now; their membership stays as it is until the transaction ends. */
async function mayInvite(tx: AppTx, tenantId: TenantId, personId: string, role: Role): Promise<boolean> {
  const [row] = await tx.$queryRaw<{ role: string }[]>`
    SELECT m.role FROM membership m JOIN person p ON p.id = m.person_id AND p.disabled_at IS NULL
     WHERE m.tenant_id = ${tenantId} AND m.person_id = ${personId} FOR SHARE OF m`
  if (row === undefined) return false
  const own = parseRole(row.role)
  return isPermitted(own, 'invitation.create') && reaches(own, role)
}
