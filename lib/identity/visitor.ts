/**
 * Somebody at the door: what is known of a browser before anybody is signed in, and what it gets when somebody is.
 *
 * @module
 */
import type { Id, PersonId } from '../ids'
import type { Secret } from '../secret'

export interface Visitor {
  /** Canonical client network, key of the limits. */
  readonly network: string
  readonly userAgent: string
  /** Hash of the browser cookie; the session that is made works in this browser only. */
  readonly browserHash: Buffer
}

/** A session waiting to be activated. The secret goes into the ticket cookie and nowhere else. */
export interface Ticket {
  readonly personId: PersonId
  readonly sessionId: Id<'webSession'>
  readonly secret: Secret
  /** The second factor is still to be given: until then the session opens nothing but that. */
  readonly isWaiting: boolean
}
