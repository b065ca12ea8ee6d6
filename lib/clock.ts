/**
 * Time as a parameter. Nothing that decides about expiry calls `Date.now()` by itself, so that a test can freeze,
 * advance and rewind time. Leases and expiries shared by processes use database time instead.
 *
 * @module
 */
export interface Clock {
  now(): Date
}

export const systemClock: Clock = { now: () => new Date() }
