/**
 * The second half of signing in. A session whose person has a second factor and has not given it is no session to anybody
 * but this module: every look-up elsewhere goes through one function of the database that does not see it.
 *
 * When the factor was given, the same row goes on under a new secret: whoever had the cookie of the first half has nothing.
 *
 * @see OWASP ASVS 5.0 §7.2.4
 * @module
 */
import type { AppDb } from '../db/app-db'
import { enterTenant } from '../db/enter-tenant'
import { AppError } from '../errors'
import type { RecordsEvents } from '../tenancy/events'
import type { PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server'
import { factorMethods, type FactorMethod, type Proof, type Proofs } from './proofs'
import type { Passkeys } from './passkeys'
import type { WaitingSession, WebSessions } from './sessions'
import type { Ticket, Visitor } from './visitor'

export interface SecondFactor {
  /** What this person can give. */
  methodsOf(session: WaitingSession): Promise<readonly FactorMethod[]>
  /** What their authenticator is to sign. */
  askPasskey(session: WaitingSession): Promise<PublicKeyCredentialRequestOptionsJSON>
  /** @throws AppError `request.invalid` when it is wrong, `request.rate_limited`, `auth.unauthenticated` when the session is over */
  give(session: WaitingSession, proof: Exclude<Proof, { kind: 'password' }>, visitor: Visitor): Promise<Ticket>
}

export function createSecondFactor(deps: {
  readonly appDb: AppDb
  readonly sessions: WebSessions
  readonly proofs: Proofs
  readonly passkeys: Pick<Passkeys, 'askToSign'>
  readonly events: RecordsEvents
}): SecondFactor {
  const { appDb, sessions, proofs, passkeys, events } = deps

  return {
    methodsOf: async ({ personId }) => factorMethods(await proofs.factorsOf(personId)),

    askPasskey: ({ sessionId, personId }) => passkeys.askToSign('second_factor', sessionId, personId),

    async give(session, proof, visitor) {
      const { personId, sessionId, tenantId } = session
      if (!visitor.browserHash.equals(session.browserHash)) throw over()
      const take = await proofs.check(proof, {
        personId,
        purpose: 'second_factor',
        sessionId,
        network: visitor.network,
        isKnown: () => sessions.isKnownTo(personId, visitor.browserHash, visitor.network),
        device: {
          hash: visitor.browserHash,
          isKnown: () => sessions.isKnownTo(personId, visitor.browserHash, undefined),
        },
      })
      return appDb.transaction(async (tx) => {
        await take(tx)
        const secret = await sessions.complete(tx, session)
        if (secret === undefined) throw over()
        if (tenantId !== null) {
          await enterTenant(tx, tenantId)
          await events.event(tx, {
            tenantId,
            action: 'person.signed_in',
            actor: { kind: 'person', personId, webSessionId: sessionId },
            targetId: sessionId,
            detail: { method: session.method, secondFactor: proof.kind },
            network: visitor.network,
          })
        }
        return { personId, sessionId, secret, isWaiting: false }
      })
    },
  }
}

const over = () => new AppError('auth.unauthenticated', 'This sign-in took too long. Begin again.')
