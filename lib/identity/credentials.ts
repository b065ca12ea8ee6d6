/**
 * What proves a person, and changing it: password, reset, e-mail address. Every change ends the person's other web
 * sessions, their open links and the sessions of their agents in all workspaces, in the same transaction: whoever got in
 * with the old credential is out when the new one is in.
 *
 * API keys stay; they are listed, and the notice sent to the person says so.
 *
 * @see OWASP ASVS 5.0 §7.4.3, §6.3.7
 * @module
 */
import type { AuditAction } from '../audit/actions'
import type { AuditActor } from '../audit/record'
import type { Clock } from '../clock'
import type { AppDb, AppTx } from '../db/app-db'
import { enterTenant, tenantsOf } from '../db/enter-tenant'
import { isUniqueViolation } from '../db/retry'
import { AppError } from '../errors'
import { brand, type Id, type PersonId } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import { recordBehind } from './behind'
import { findEmailAddress, parseEmailAddress } from './email-address'
import { askForLink, inspectLink, spendAllLinksOf, spendLink } from './email-tokens'
import type { SignInLimits } from './limits'
import { queueMail, type AnnounceMail } from './outgoing-mail'
import { checkNewPassword } from './password-policy'
import type { Passwords } from './password'
import type { WebSession, WebSessions } from './sessions'
import { linkInvalid } from './sign-up'
import type { Visitor } from './visitor'

const RECENT_MS = 10 * 60_000

export interface Credentials {
  /** Sends a reset link if the address has an account. Resolves alike if it has none. */
  askToResetPassword(email: string, visitor: Visitor): Promise<void>
  /** @throws AppError `auth.link_invalid`, `request.invalid` for a password that is not taken */
  resetPassword(secret: string, password: string, visitor: Visitor): Promise<void>
  /**
   * @param proof  the present password; where there is none, a sign-in within the last ten minutes is enough
   * @throws AppError `request.invalid` naming `currentPassword`, or `auth.forbidden` when the sign-in is too long ago
   */
  changePassword(session: WebSession, proof: string | undefined, password: string, network: string): Promise<void>
  /** Sends a link to the new address. Nothing changes before it is followed. */
  askToChangeEmail(session: WebSession, proof: string | undefined, email: string, network: string): Promise<void>
  /** Sends a link to the person's present address. */
  askToVerifyEmail(session: WebSession, network: string): Promise<void>
  /**
   * Follows a link to a present or new address. A new address is taken over only in a session of the person who asked.
   *
   * @throws AppError `auth.link_invalid`, or `auth.unauthenticated` where a session is needed
   */
  confirmEmail(secret: string, session: WebSession | undefined, network: string): Promise<void>
  /** Ends one session of the person. @returns false when it is not theirs or has ended */
  endSession(session: WebSession, sessionId: string, network: string): Promise<boolean>
  /** Ends every web session of the person but this one. @returns how many */
  endOtherSessions(session: WebSession, network: string): Promise<number>
}

export interface CredentialDependencies {
  readonly appDb: AppDb
  readonly passwords: Passwords
  readonly sessions: WebSessions
  readonly limits: SignInLimits
  readonly events: RecordsEvents
  readonly announceMail: AnnounceMail
  readonly clock: Clock
}

type CredentialAction = Extract<
  AuditAction,
  'person.password_changed' | 'person.password_reset' | 'person.email_changed'
>

export function createCredentials(deps: CredentialDependencies): Credentials {
  const { appDb, passwords, sessions, limits, events } = deps

  /** One record in each workspace of the person: what they do concerns every one that trusts them. */
  async function record(
    tx: AppTx,
    personId: PersonId,
    action: AuditAction & `person.${string}`,
    network: string,
    acting?: Id<'webSession'>,
  ): Promise<void> {
    const actor: AuditActor = { kind: 'person', personId, webSessionId: acting }
    for (const tenantId of await tenantsOf(tx, personId)) {
      await enterTenant(tx, tenantId)
      await events.event(tx, { tenantId, action, actor, network })
    }
  }

  /**
   * Ends what the old credential opened, after it is gone. The order matters: a link or a password that is being used at
   * this moment holds its row, so its session is in by the time that sessions are ended.
   */
  async function endWhatItOpened(
    tx: AppTx,
    personId: PersonId,
    action: CredentialAction,
    network: string,
    acting?: Id<'webSession'>,
  ): Promise<void> {
    await spendAllLinksOf(tx, personId)
    const ended = await sessions.endAllOf(tx, personId, 'credential_changed', acting)
    await record(tx, personId, action, network, acting)
    const actor: AuditActor = { kind: 'person', personId, webSessionId: acting }
    const tenants = await tx.$queryRaw<{ tenant_id: string }[]>`
      SELECT tenant_id FROM agent_session_tenants_of(${personId})`
    for (const row of tenants) {
      const tenantId = brand<'tenant'>(row.tenant_id)
      await enterTenant(tx, tenantId)
      const agents = await tx.$queryRaw<{ id: string; agent_id: string }[]>`
        UPDATE agent_session SET ended_at = now(), ended_reason = 'credential_changed'
         WHERE tenant_id = ${tenantId} AND person_id = ${personId} AND ended_at IS NULL RETURNING id, agent_id`
      for (const agent of agents)
        await events.never(tx, {
          tenantId,
          action: 'session.revoked',
          actor,
          agentId: brand(agent.agent_id),
          agentSessionId: brand(agent.id),
          reason: 'credential_changed',
          network,
        })
    }
    for (const tenantId of ended.length === 0 ? [] : await tenantsOf(tx, personId)) {
      await enterTenant(tx, tenantId)
      await events.never(tx, {
        tenantId,
        action: 'person.sessions_ended',
        actor,
        reason: 'credential_changed',
        detail: { count: ended.length },
        network,
      })
    }
  }

  /** A stolen cookie alone must not be enough to keep an account. */
  async function checkProof(
    session: WebSession,
    proof: string | undefined,
    network: string,
  ): Promise<string | undefined> {
    const stored = await appDb.global.personPassword.findUnique({ where: { personId: session.personId } })
    if (stored === null) {
      if (deps.clock.now().getTime() - session.authenticatedAt.getTime() > RECENT_MS)
        throw new AppError('auth.forbidden', 'Sign in again, then repeat this within ten minutes.')
      return undefined
    }
    const who = { account: `proof:${session.personId}`, network, isKnown: () => Promise.resolve(true) }
    await limits.count('password', who)
    const check = await passwords.verify(stored.hash, proof ?? '')
    if (!check.matches)
      throw new AppError('request.invalid', 'This is not your present password.', { field: 'currentPassword' })
    await limits.forgive('password', who)
    return stored.hash
  }

  async function loadPerson(personId: PersonId) {
    const person = await appDb.global.person.findUnique({ where: { id: personId } })
    if (person === null || person.disabledAt !== null)
      throw new AppError('auth.unauthenticated', 'Your session has ended. Sign in again.')
    return person
  }

  return {
    async askToResetPassword(email, visitor) {
      const address = parseEmailAddress(email)
      await limits.count('mail', {
        account: address.canonical,
        network: visitor.network,
        isKnown: () => sessions.isKnown(address.canonical, visitor.browserHash, visitor.network),
        device: {
          hash: visitor.browserHash,
          isKnown: () => sessions.isKnown(address.canonical, visitor.browserHash, undefined),
        },
      })
      const mailId = await appDb.transaction(async (tx) => {
        const refId = await askForLink(tx, { purpose: 'reset_password', email: address.address })
        return queueMail(tx, { kind: 'reset_password', email: address.address, refId })
      })
      await deps.announceMail(mailId)
      recordBehind(deps, { action: 'person.password_reset_requested', account: address.canonical }, visitor.network)
    },

    async resetPassword(secret, password, visitor) {
      await limits.count('link', { network: visitor.network, isKnown: () => Promise.resolve(true) })
      const link = await inspectLink(appDb.global, secret)
      if (link?.purpose !== 'reset_password') throw linkInvalid()
      checkNewPassword(password, { email: link.email })
      const hash = await passwords.hash(password)
      const mailId = await appDb.transaction(async (tx) => {
        const spent = await spendLink(tx, ['reset_password'], secret)
        if (spent === undefined || spent.personId === null) throw linkInvalid()
        const person = await tx.person.findUnique({ where: { id: spent.personId } })
        if (person === null || person.disabledAt !== null) throw linkInvalid()
        await setPassword(tx, spent.personId, hash)
        // The link came out of this mailbox, so the mailbox is the person's.
        if (person.emailVerifiedAt === null && person.emailCanonical === findEmailAddress(spent.email)?.canonical)
          await tx.person.update({ where: { id: person.id }, data: { emailVerifiedAt: deps.clock.now() } })
        await endWhatItOpened(tx, spent.personId, 'person.password_reset', visitor.network)
        return queueMail(tx, { kind: 'password_changed', email: person.email, personId: spent.personId })
      })
      await deps.announceMail(mailId)
    },

    async changePassword(session, proof, password, network) {
      const person = await loadPerson(session.personId)
      checkNewPassword(password, { email: person.email, name: person.name }, 'newPassword')
      const proven = await checkProof(session, proof, network)
      const hash = await passwords.hash(password)
      const mailId = await appDb.transaction(async (tx) => {
        if (!(await replacePassword(tx, session.personId, proven, hash)))
          throw new AppError('resource.conflict', 'The password was changed meanwhile. Sign in again.')
        await endWhatItOpened(tx, session.personId, 'person.password_changed', network, session.sessionId)
        return queueMail(tx, { kind: 'password_changed', email: person.email, personId: session.personId })
      })
      await deps.announceMail(mailId)
    },

    async askToChangeEmail(session, proof, email, network) {
      const person = await loadPerson(session.personId)
      const address = parseEmailAddress(email)
      if (address.canonical === person.emailCanonical)
        throw new AppError('request.invalid', 'This is your address already.', { field: 'email' })
      await limits.count('mail', { account: address.canonical, network, isKnown: () => Promise.resolve(false) })
      await checkProof(session, proof, network)
      const mailId = await appDb.transaction(async (tx) => {
        await record(tx, session.personId, 'person.email_change_requested', network, session.sessionId)
        const refId = await askForLink(tx, {
          purpose: 'change_email',
          email: address.address,
          personId: session.personId,
        })
        return queueMail(tx, { kind: 'change_email', email: address.address, personId: session.personId, refId })
      })
      await deps.announceMail(mailId)
    },

    async askToVerifyEmail(session, network) {
      const person = await loadPerson(session.personId)
      if (person.emailVerifiedAt !== null) return
      await limits.count('mail', { account: person.emailCanonical, network, isKnown: () => Promise.resolve(true) })
      const mailId = await appDb.transaction(async (tx) => {
        const refId = await askForLink(tx, {
          purpose: 'verify_email',
          email: person.email,
          personId: session.personId,
        })
        return queueMail(tx, { kind: 'verify_email', email: person.email, personId: session.personId, refId })
      })
      await deps.announceMail(mailId)
    },

    async confirmEmail(secret, session, network) {
      await limits.count('link', { network, isKnown: () => Promise.resolve(true) })
      const link = await inspectLink(appDb.global, secret)
      if (link?.purpose !== 'verify_email' && link?.purpose !== 'change_email') throw linkInvalid()
      if (link.purpose === 'verify_email') {
        await appDb.transaction(async (tx) => {
          const spent = await spendLink(tx, ['verify_email'], secret)
          if (spent === undefined || spent.personId === null) throw linkInvalid()
          const changed = await tx.person.updateMany({
            where: {
              id: spent.personId,
              disabledAt: null,
              emailCanonical: findEmailAddress(spent.email)?.canonical ?? '',
            },
            data: { emailVerifiedAt: deps.clock.now() },
          })
          if (changed.count !== 1) throw linkInvalid()
          await record(tx, spent.personId, 'person.email_verified', network)
        })
        return
      }
      if (session === undefined)
        throw new AppError('auth.unauthenticated', 'Sign in first, then open the link from the mail again.')
      const address = parseEmailAddress(link.email)
      const mailId = await appDb.transaction(async (tx) => {
        const spent = await spendLink(tx, ['change_email'], secret)
        if (spent === undefined || spent.personId !== session.personId) throw linkInvalid()
        const before = await tx.person.findUnique({ where: { id: session.personId } })
        if (before === null || before.disabledAt !== null) throw linkInvalid()
        try {
          await tx.person.update({
            where: { id: session.personId },
            data: {
              email: address.address,
              emailCanonical: address.canonical,
              emailVerifiedAt: deps.clock.now(),
            },
          })
        } catch (error) {
          if (isUniqueViolation(error)) throw linkInvalid()
          throw error
        }
        await endWhatItOpened(tx, session.personId, 'person.email_changed', network, session.sessionId)
        // To the address before: if it was not the person who changed it, this is how they learn.
        return queueMail(tx, {
          kind: 'email_changed',
          email: before.email,
          personId: session.personId,
          data: { newEmail: masked(address.address) },
        })
      })
      await deps.announceMail(mailId)
    },

    async endSession(session, sessionId, network) {
      return appDb.transaction(async (tx) => {
        const ended = await sessions.end(tx, session.personId, sessionId, 'ended_by_person')
        if (ended) await recordEnded(tx, session, 1, network)
        return ended
      })
    },

    async endOtherSessions(session, network) {
      return appDb.transaction(async (tx) => {
        const ended = await sessions.endAllOf(tx, session.personId, 'ended_by_person', session.sessionId)
        if (ended.length > 0) await recordEnded(tx, session, ended.length, network)
        return ended.length
      })
    },
  }

  async function recordEnded(tx: AppTx, session: WebSession, count: number, network: string): Promise<void> {
    const { personId, sessionId: webSessionId } = session
    for (const tenantId of await tenantsOf(tx, personId)) {
      await enterTenant(tx, tenantId)
      await events.never(tx, {
        tenantId,
        action: 'person.sessions_ended',
        actor: { kind: 'person', personId, webSessionId },
        detail: { count },
        network,
      })
    }
  }
}

async function setPassword(tx: AppTx, personId: PersonId, hash: string): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO person_password (person_id, hash) VALUES (${personId}, ${hash})
    ON CONFLICT (person_id) DO UPDATE SET hash = EXCLUDED.hash, updated_at = now()`
}

/** @returns false when the password is no longer the one that was proven, or there is one by now where there was none */
async function replacePassword(
  tx: AppTx,
  personId: PersonId,
  proven: string | undefined,
  hash: string,
): Promise<boolean> {
  const changed =
    proven === undefined
      ? await tx.$executeRaw`
          INSERT INTO person_password (person_id, hash) VALUES (${personId}, ${hash}) ON CONFLICT (person_id) DO NOTHING`
      : await tx.$executeRaw`
          UPDATE person_password SET hash = ${hash}, updated_at = now() WHERE person_id = ${personId} AND hash = ${proven}`
  return changed === 1
}

/** `a…@example.com`: enough for the person, little for whoever reads the old mailbox by now. */
function masked(email: string): string {
  const at = email.lastIndexOf('@')
  return `${email.slice(0, 1)}…${email.slice(at)}`
}
