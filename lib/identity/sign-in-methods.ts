/**
 * A person's own ways to sign in: adding and removing passkeys and the authenticator app, and the recovery codes that come
 * with the first of them.
 *
 * Whoever adds the first second factor has given it in this session. The person's other sessions have not, and are none
 * from that moment on. The last way to sign in is not removed.
 *
 * @see OWASP ASVS 5.0 §6.3.7, §6.4.1
 * @module
 */
import type { PublicKeyCredentialCreationOptionsJSON } from '@simplewebauthn/server'

import type { AuditAction } from '../audit/actions'
import type { AppDb, AppTx } from '../db/app-db'
import { enterTenant, tenantsOf } from '../db/enter-tenant'
import { AppError, notFound } from '../errors'
import type { PersonId } from '../ids'
import type { Secret } from '../secret'
import type { RecordsEvents } from '../tenancy/events'
import { parseDisplayName } from './display-name'
import type { SignInLimits } from './limits'
import { queueMail, type AnnounceMail } from './outgoing-mail'
import type { Passkey, Passkeys } from './passkeys'
import { wrongCode } from './proofs'
import { recoveryCodesLeft, replaceRecoveryCodes } from './recovery-codes'
import type { WebSession, WebSessions } from './sessions'
import type { NewTotp, Totps } from './totp'

export interface OwnSignInMethods {
  readonly hasPassword: boolean
  /** Since when the app counts. */
  readonly totpSince: Date | null
  readonly passkeys: readonly Passkey[]
  readonly recoveryCodesLeft: number
}

/** Codes to show once; undefined when there are some already. */
type NewCodes = Secret<readonly string[]> | undefined

export interface SignInMethods {
  list(session: WebSession): Promise<OwnSignInMethods>
  beginTotp(session: WebSession): Promise<NewTotp>
  /** @throws AppError `request.invalid` naming `code` */
  confirmTotp(session: WebSession, code: string, network: string): Promise<NewCodes>
  removeTotp(session: WebSession, network: string): Promise<void>
  newRecoveryCodes(session: WebSession, network: string): Promise<Secret<readonly string[]>>
  askToAddPasskey(session: WebSession): Promise<PublicKeyCredentialCreationOptionsJSON>
  addPasskey(
    session: WebSession,
    name: string,
    response: unknown,
    network: string,
  ): Promise<{ readonly passkey: Passkey; readonly codes: NewCodes }>
  renamePasskey(session: WebSession, id: string, name: string): Promise<void>
  /** @throws AppError `resource.conflict` when it is the last way to sign in, `resource.not_found` */
  removePasskey(session: WebSession, id: string, network: string): Promise<void>
}

type MethodAction = Extract<
  AuditAction,
  | 'person.totp_added'
  | 'person.totp_removed'
  | 'person.passkey_added'
  | 'person.passkey_removed'
  | 'person.recovery_codes_made'
>

const UNASKED = 'If this was not you, set a new password, end your other sessions and remove what you do not know.'
/** What the person is told by mail. */
const NOTICES: Readonly<Record<MethodAction, { readonly title: string; readonly body: string }>> = {
  'person.totp_added': {
    title: 'An authenticator app was added',
    body: `It now asks for a code after your password. ${UNASKED}`,
  },
  'person.totp_removed': {
    title: 'Your authenticator app was removed',
    body: `Its codes no longer sign you in. ${UNASKED}`,
  },
  'person.passkey_added': { title: 'A passkey was added', body: `It signs you in by itself. ${UNASKED}` },
  'person.passkey_removed': { title: 'A passkey was removed', body: `It no longer signs you in. ${UNASKED}` },
  'person.recovery_codes_made': {
    title: 'New recovery codes were made',
    body: `Those before no longer work. ${UNASKED}`,
  },
}

export function createSignInMethods(deps: {
  readonly appDb: AppDb
  readonly sessions: WebSessions
  readonly totps: Totps
  readonly passkeys: Passkeys
  readonly limits: SignInLimits
  readonly events: RecordsEvents
  readonly announceMail: AnnounceMail
}): SignInMethods {
  const { appDb, sessions, totps, passkeys, limits, events } = deps

  /** One change at a time for a person: what is last is last among all of them. */
  async function lock(tx: AppTx, personId: PersonId): Promise<void> {
    await tx.$queryRaw`SELECT 1 AS locked FROM person WHERE id = ${personId} FOR UPDATE`
  }

  /**
   * Makes the change, records it, and tells the person by mail: if it was not them, this is how they learn.
   *
   * @param work  what is done; `targetId` names what it was done to
   */
  async function change<T>(
    session: WebSession,
    action: MethodAction,
    network: string,
    work: (tx: AppTx) => Promise<{ readonly value: T; readonly targetId?: string }>,
  ): Promise<T> {
    const { personId } = session
    const { value, mailId } = await appDb.transaction(async (tx) => {
      await lock(tx, personId)
      const done = await work(tx)
      await record(tx, session, action, network, done.targetId)
      const { email } = await tx.person.findUniqueOrThrow({ where: { id: personId }, select: { email: true } })
      const data = { ...NOTICES[action], label: 'Look at your account', path: '/settings/account' }
      return { value: done.value, mailId: await queueMail(tx, { kind: 'notice', email, personId, data }) }
    })
    await deps.announceMail(mailId)
    return value
  }

  /** One record in each workspace of the person: what they do concerns every one that trusts them. */
  async function record(tx: AppTx, session: WebSession, action: MethodAction, network: string, targetId?: string) {
    const { personId, sessionId: webSessionId } = session
    for (const tenantId of await tenantsOf(tx, personId)) {
      await enterTenant(tx, tenantId)
      await events.event(tx, {
        tenantId,
        action,
        actor: { kind: 'person', personId, webSessionId },
        network,
        ...(targetId === undefined ? {} : { targetId }),
      })
    }
  }

  /** This session proved what was just added, and the first factor brings the codes for the day it is lost. */
  async function added(tx: AppTx, session: WebSession): Promise<NewCodes> {
    if (!(await sessions.proveAgain(tx, session, true)))
      throw new AppError('auth.unauthenticated', 'Your session has ended. Sign in again.')
    return (await recoveryCodesLeft(tx, session.personId)) > 0 ? undefined : replaceRecoveryCodes(tx, session.personId)
  }

  /** Without a second factor there is nothing that a code could stand in for. */
  async function dropCodesWithLastFactor(tx: AppTx, personId: PersonId): Promise<void> {
    await tx.$executeRaw`
      DELETE FROM person_recovery_code WHERE person_id = ${personId} AND NOT has_second_factor(${personId})`
  }

  async function loadPerson(personId: PersonId) {
    const person = await appDb.global.person.findUnique({ where: { id: personId } })
    if (person === null || person.disabledAt !== null)
      throw new AppError('auth.unauthenticated', 'Your session has ended. Sign in again.')
    return person
  }

  return {
    async list({ personId }) {
      const rows = await appDb.global.$queryRaw<{ has_password: boolean; since: Date | null }[]>`
        SELECT EXISTS (SELECT 1 FROM person_password WHERE person_id = ${personId}) AS has_password,
               (SELECT confirmed_at FROM person_totp WHERE person_id = ${personId}) AS since`
      return {
        hasPassword: rows[0]?.has_password === true,
        totpSince: rows[0]?.since ?? null,
        passkeys: await passkeys.list(personId),
        recoveryCodesLeft: await recoveryCodesLeft(appDb.global, personId),
      }
    },

    async beginTotp({ personId }) {
      return totps.begin(personId, (await loadPerson(personId)).email)
    },

    async confirmTotp(session, code, network) {
      const { personId } = session
      const who = { account: `proof:${personId}`, network, isKnown: () => Promise.resolve(true) }
      await limits.count('code', who)
      const match = await totps.match(personId, code, 'waiting')
      if (match === undefined) throw wrongCode()
      const codes = await change(session, 'person.totp_added', network, async (tx) => {
        if (!(await totps.confirm(tx, personId, match))) throw wrongCode()
        return { value: await added(tx, session) }
      })
      await limits.forgive('code', who)
      return codes
    },

    async removeTotp(session, network) {
      const { personId } = session
      await change(session, 'person.totp_removed', network, async (tx) => {
        const removed = await tx.$executeRaw`DELETE FROM person_totp WHERE person_id = ${personId}`
        if (removed !== 1) throw notFound()
        await dropCodesWithLastFactor(tx, personId)
        return { value: undefined }
      })
    },

    async newRecoveryCodes(session, network) {
      const { personId } = session
      return change(session, 'person.recovery_codes_made', network, async (tx) => {
        const rows = await tx.$queryRaw<{ has: boolean }[]>`SELECT has_second_factor(${personId}) AS has`
        if (rows[0]?.has !== true)
          throw new AppError('resource.conflict', 'Add a passkey or an authenticator app first.')
        return { value: await replaceRecoveryCodes(tx, personId) }
      })
    },

    async askToAddPasskey(session) {
      const { email, name } = await loadPerson(session.personId)
      return passkeys.askToRegister({ personId: session.personId, email, name }, session.sessionId)
    },

    async addPasskey(session, given, response, network) {
      const name = parseDisplayName(given, 'name')
      const { personId } = session
      const made = await passkeys.registered(personId, session.sessionId, response)
      return change(session, 'person.passkey_added', network, async (tx) => {
        const passkey = await passkeys.add(tx, personId, name, made)
        return { value: { passkey, codes: await added(tx, session) }, targetId: passkey.id }
      })
    },

    async renamePasskey({ personId }, id, given) {
      const name = parseDisplayName(given, 'name')
      const renamed = await appDb.global.$executeRaw`
        UPDATE person_passkey SET name = ${name} WHERE id = ${id} AND person_id = ${personId}`
      if (renamed !== 1) throw notFound()
    },

    async removePasskey(session, id, network) {
      const { personId } = session
      await change(session, 'person.passkey_removed', network, async (tx) => {
        const removed = await tx.$executeRaw`
          DELETE FROM person_passkey WHERE id = ${id} AND person_id = ${personId}`
        if (removed !== 1) throw notFound()
        const left = await tx.$queryRaw<{ ways: boolean }[]>`
          SELECT EXISTS (SELECT 1 FROM person_password WHERE person_id = ${personId})
              OR EXISTS (SELECT 1 FROM person_passkey WHERE person_id = ${personId}) AS ways`
        if (left[0]?.ways !== true)
          throw new AppError(
            'resource.conflict',
            'This is your last way to sign in. Set a password or add another passkey first.',
          )
        await dropCodesWithLastFactor(tx, personId)
        return { value: undefined, targetId: id }
      })
    },
  }
}
