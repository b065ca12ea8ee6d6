/**
 * The states of a connection and every legal way from one to another. One function writes them (`transition.ts`), and the
 * database refuses what this table does not allow (`guard_credential_state`).
 *
 * `refreshing` is never stored by the refresh engine: a live lease says it, and a crash cannot leave it behind.
 *
 * @module
 */
export type ConnectionState =
  | 'connecting'
  | 'active'
  | 'refreshing'
  | 'degraded'
  | 'reauthorization_required'
  | 'revoked'
  | 'disconnected'
  | 'suspended'

const LEGAL: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = {
  connecting: ['active', 'revoked', 'disconnected'],
  active: ['degraded', 'reauthorization_required', 'revoked', 'disconnected', 'suspended'],
  refreshing: ['active', 'degraded', 'reauthorization_required', 'revoked', 'disconnected', 'suspended'],
  degraded: ['active', 'reauthorization_required', 'revoked', 'disconnected', 'suspended'],
  // Back to active by a new consent, or by an answer that was found in the spool after all.
  reauthorization_required: ['active', 'revoked', 'disconnected'],
  // Back to active by a new consent or an operator's restore.
  revoked: ['active', 'disconnected'],
  suspended: ['active', 'reauthorization_required', 'revoked', 'disconnected'],
  // The end. Connecting the account again makes another connection.
  disconnected: [],
}

export function mayChange(from: ConnectionState, to: ConnectionState): boolean {
  return LEGAL[from].includes(to)
}

/** States in which the credential may be opened for a call and refreshed. */
export function isUsable(state: ConnectionState): boolean {
  return state === 'active' || state === 'degraded' || state === 'refreshing'
}

/** States in which a refresh that is under way has become pointless: its answer must not bring the connection back. */
export function endsAttempts(state: ConnectionState): boolean {
  return state === 'reauthorization_required' || state === 'revoked' || state === 'disconnected'
}

export function isConnectionState(value: string): value is ConnectionState {
  return Object.hasOwn(LEGAL, value)
}
