/**
 * Signing in by password or by a link sent by mail. Both end in a pending session that next-auth activates.
 *
 * Whether an address has an account shows neither in the answer nor in the work done for it: an unknown one costs the same
 * look-up and the same password computation, and a link is decided on when it is sent, not when it is asked for.
 *
 * @see OWASP ASVS 5.0 §6.3.8
 * @module
 */
import type { PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server'

import type { AppDb, AppTx } from '../db/app-db'
import { enterTenant } from '../db/enter-tenant'
import { AppError } from '../errors'
import { brand, type PersonId, type TenantId } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import { recordBehind } from './behind'
import { findEmailAddress, parseEmailAddress } from './email-address'
import { askForLink, inspectLink, spendLink } from './email-tokens'
import { recordWayBack } from './entry'
import type { SignInLimits } from './limits'
import { queueMail, type AnnounceMail } from './outgoing-mail'
import type { Passkeys } from './passkeys'
import type { Passwords } from './password'
import { homeTenant } from './people'
import type { SignInMethod, WebSession, WebSessions } from './sessions'
import { linkInvalid } from './sign-up'
import type { Ticket, Visitor } from './visitor'

export interface SignIn {
  /** @throws AppError `auth.unauthenticated`, the same for every reason; `request.rate_limited` */
  withPassword(email: string, password: string, visitor: Visitor): Promise<Ticket>
  /** Sends a link if the address has an account. Resolves alike if it has none. */
  askForMagicLink(email: string, visitor: Visitor): Promise<void>
  /** @throws AppError `auth.link_invalid` */
  withMagicLink(secret: string, visitor: Visitor): Promise<Ticket>
  /** What a device is to sign. The same for everybody: nobody is named. */
  askForPasskey(visitor: Visitor): Promise<PublicKeyCredentialRequestOptionsJSON>
  /** @throws AppError `auth.unauthenticated`, the same for every reason; `request.rate_limited` */
  withPasskey(response: unknown, visitor: Visitor): Promise<Ticket>
  /** Ends this session, whatever else fails. */
  signOut(session: Pick<WebSession, 'personId' | 'tenantId' | 'sessionId'>, network: string): Promise<void>
}

export interface SignInDependencies {
  readonly appDb: AppDb
  readonly passwords: Passwords
  readonly sessions: WebSessions
  readonly limits: SignInLimits
  readonly events: RecordsEvents
  readonly announceMail: AnnounceMail
  readonly passkeys: Pick<Passkeys, 'askToSign' | 'signed' | 'spend'>
}

export function createSignIn(deps: SignInDependencies): SignIn {
  const { appDb, passwords, sessions, limits, events, passkeys } = deps

  /** The session and its record, in the transaction of what proved the person. */
  async function start(
    tx: AppTx,
    personId: PersonId,
    method: SignInMethod,
    visitor: Visitor,
    hasSecondFactor = false,
  ): Promise<Ticket> {
    const tenantId = await homeTenant(tx, personId)
    const session = await sessions.start(tx, {
      personId,
      method,
      hasSecondFactor,
      ...visitor,
      ...(tenantId === undefined ? {} : { tenantId }),
    })
    if (tenantId !== undefined) {
      await enterTenant(tx, tenantId)
      await events.event(tx, {
        tenantId,
        action: session.isWaiting ? 'person.second_factor_asked' : 'person.signed_in',
        actor: { kind: 'person', personId, webSessionId: session.sessionId },
        targetId: session.sessionId,
        detail: { method },
        network: visitor.network,
      })
    }
    await recordWayBack(tx, events, { sessionId: session.sessionId, personId, network: visitor.network })
    return { personId, ...session }
  }

  return {
    async withPassword(email, password, visitor) {
      const address = findEmailAddress(email)
      const account = address?.canonical ?? 'not an address'
      const who = {
        account,
        network: visitor.network,
        isKnown: () => sessions.isKnown(account, visitor.browserHash, visitor.network),
        device: {
          hash: visitor.browserHash,
          isKnown: () => sessions.isKnown(account, visitor.browserHash, undefined),
        },
      }
      await limits.count('password', who)
      const rows = await appDb.global.$queryRaw<{ id: string; hash: string | null; is_disabled: boolean }[]>`
        SELECT p.id, w.hash, p.disabled_at IS NOT NULL AS is_disabled
          FROM person p LEFT JOIN person_password w ON w.person_id = p.id WHERE p.email_canonical = ${account}`
      const person = rows[0]
      const stored = person?.hash ?? undefined
      const check = await passwords.verify(stored, password)
      if (person === undefined || stored === undefined || !check.matches || person.is_disabled) {
        recordBehind(deps, { action: 'person.sign_in_refused', account }, visitor.network)
        throw refused()
      }
      await limits.forgive('password', who)
      const personId = brand<'person'>(person.id)
      const renewed = check.isOutdated ? await passwords.hash(password) : stored

      return appDb.transaction(async (tx) => {
        // Held until the session is in: a password changed meanwhile either refuses this sign-in or ends its session.
        const held = await tx.$executeRaw`
          UPDATE person_password SET hash = ${renewed} WHERE person_id = ${personId} AND hash = ${stored}`
        if (held !== 1) throw refused()
        return start(tx, personId, 'password', visitor)
      })
    },

    async askForMagicLink(email, visitor) {
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
        const refId = await askForLink(tx, {
          purpose: 'magic_link',
          email: address.address,
          browserHash: visitor.browserHash,
        })
        return queueMail(tx, { kind: 'magic_link', email: address.address, refId })
      })
      await deps.announceMail(mailId)
    },

    async withMagicLink(secret, visitor) {
      // As for every link: one network's noise is stopped, a crowd closes no door.
      await limits.count('link', { network: visitor.network, isKnown: () => Promise.resolve(true) })
      const link = await inspectLink(appDb.global, secret)
      if (link?.purpose !== 'magic_link') throw linkInvalid()
      // Whoever can ask has the link already; telling them where it works tells nobody else anything.
      if (link.browserHash === null || !visitor.browserHash.equals(link.browserHash))
        throw new AppError('auth.link_invalid', 'Open this link in the browser in which you asked for it.')
      return appDb.transaction(async (tx) => {
        const spent = await spendLink(tx, ['magic_link'], secret, visitor.browserHash)
        if (spent === undefined || spent.personId === null) throw linkInvalid()
        const person = await tx.person.findUnique({ where: { id: spent.personId } })
        if (person === null || person.disabledAt !== null) throw linkInvalid()
        // The link came out of this mailbox, so the mailbox is the person's.
        if (person.emailVerifiedAt === null && person.emailCanonical === findEmailAddress(spent.email)?.canonical)
          await tx.person.update({ where: { id: person.id }, data: { emailVerifiedAt: new Date() } })
        return start(tx, spent.personId, 'magic_link', visitor)
      })
    },

    async askForPasskey(visitor) {
      await limits.count('passkey', { network: visitor.network, isKnown: () => Promise.resolve(true) })
      return passkeys.askToSign('sign_in', visitor.browserHash)
    },

    async withPasskey(response, visitor) {
      await limits.count('passkey', { network: visitor.network, isKnown: () => Promise.resolve(true) })
      const match = await passkeys.signed('sign_in', visitor.browserHash, response)
      if (match === undefined) throw notAccepted()
      return appDb.transaction(async (tx) => {
        // The row is held until the session is in: a passkey removed meanwhile refuses this sign-in.
        if (!(await passkeys.spend(tx, match))) throw notAccepted()
        return start(tx, match.personId, 'passkey', visitor, true)
      })
    },

    async signOut(session, network) {
      const tenantId: TenantId | null = session.tenantId
      await appDb.scoped(tenantId === null ? {} : { tenantId }, async (tx) => {
        const ended = await sessions.end(tx, session.personId, session.sessionId, 'signed_out')
        if (!ended || tenantId === null) return
        await events.never(tx, {
          tenantId,
          action: 'person.signed_out',
          actor: { kind: 'person', personId: session.personId, webSessionId: session.sessionId },
          targetId: session.sessionId,
          network,
        })
      })
    },
  }
}

const notAccepted = () => new AppError('auth.unauthenticated', 'This passkey was not accepted.')
const refused = () => new AppError('auth.unauthenticated', 'The e-mail address or the password is not right.')
