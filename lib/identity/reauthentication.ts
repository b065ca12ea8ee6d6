/**
 * Proving again who one is, in a session that is there already: what step-up asks for. Whoever has a second factor is asked
 * for that; a password alone would make a stolen one worth more here than at the door.
 *
 * The session keeps its id and its cookie, because what it has under way (a consent, a connection being made) is bound to
 * it; only the moment of the last proof moves.
 *
 * @see OWASP ASVS 5.0 §7.5.1, §7.5.3
 * @module
 */
import type { PublicKeyCredentialRequestOptionsJSON } from '@simplewebauthn/server'

import type { AppDb } from '../db/app-db'
import { enterTenant } from '../db/enter-tenant'
import { AppError } from '../errors'
import type { RecordsEvents } from '../tenancy/events'
import type { Passkeys } from './passkeys'
import { factorMethods, hasSecondFactor, type FactorMethod, type Proof, type Proofs } from './proofs'
import type { WebSession, WebSessions } from './sessions'

/** `sign_in`: there is nothing to ask for here, so the person signs in anew. */
export type StepUpMethod = FactorMethod | 'password' | 'sign_in'

export interface Reauthentication {
  /** What this person may be asked for, best first. */
  methodsOf(session: WebSession): Promise<readonly StepUpMethod[]>
  /** What their authenticator is to sign. */
  askPasskey(session: WebSession): Promise<PublicKeyCredentialRequestOptionsJSON>
  /** @throws AppError `request.invalid` when the proof is wrong or of a kind not asked for, `request.rate_limited` */
  confirm(session: WebSession, proof: Proof, network: string): Promise<void>
}

export function createReauthentication(deps: {
  readonly appDb: AppDb
  readonly sessions: WebSessions
  readonly proofs: Proofs
  readonly passkeys: Pick<Passkeys, 'askToSign'>
  readonly events: RecordsEvents
}): Reauthentication {
  const { appDb, sessions, proofs, passkeys, events } = deps

  async function methodsOf({ personId }: WebSession): Promise<readonly StepUpMethod[]> {
    const factors = await proofs.factorsOf(personId)
    if (hasSecondFactor(factors)) return factorMethods(factors)
    return [factors.hasPassword ? 'password' : 'sign_in']
  }

  return {
    methodsOf,

    askPasskey: ({ sessionId, personId }) => passkeys.askToSign('step_up', sessionId, personId),

    async confirm(session, proof, network) {
      const { personId, sessionId, tenantId } = session
      if (!(await methodsOf(session)).includes(proof.kind))
        throw new AppError('request.invalid', 'You are asked for something else. Load the page again.')
      // Whoever asks is signed in, so no crowd elsewhere may keep them from it; guessing stops at the pair.
      const isKnown = () => Promise.resolve(true)
      const take = await proofs.check(proof, { personId, purpose: 'step_up', sessionId, network, isKnown })
      await appDb.transaction(async (tx) => {
        await take(tx)
        if (!(await sessions.proveAgain(tx, session, proof.kind !== 'password')))
          throw new AppError('auth.unauthenticated', 'Your session has ended. Sign in again.')
        if (tenantId === null) return
        await enterTenant(tx, tenantId)
        await events.event(tx, {
          tenantId,
          action: 'person.reauthenticated',
          actor: { kind: 'person', personId, webSessionId: sessionId },
          targetId: sessionId,
          detail: { method: proof.kind },
          network,
        })
      })
    },
  }
}
