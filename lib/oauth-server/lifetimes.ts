/**
 * How long what a client is given lasts: the server's own limits, and those of a workspace, which may only be shorter.
 *
 * A shorter limit holds for what is issued from then on, at the latest when a client refreshes; what is to end at once is
 * revoked.
 *
 * @see RFC 6749 §4.2.2 and §10.3, RFC 9700 §4.14
 * @module
 */
import type { AppDb } from '../db/app-db'
import type { TenantId } from '../ids'

export interface Lifetimes {
  readonly accessSeconds: number
  /** A session that nobody refreshes ends after this. */
  readonly idleSeconds: number
  /** And every session after this, however much it is used. */
  readonly absoluteSeconds: number
}

export const DAY_SECONDS = 86_400

export const LONGEST: Lifetimes = {
  accessSeconds: 15 * 60,
  idleSeconds: 30 * DAY_SECONDS,
  absoluteSeconds: 90 * DAY_SECONDS,
}
/** Of a workspace that is gone: nothing works there anyhow. */
const SHORTEST: Lifetimes = { accessSeconds: 60, idleSeconds: 60, absoluteSeconds: 60 }

/** As the database has them; null in all three when there is no such workspace. */
export interface LifetimesRow {
  readonly access_minutes: number | null
  readonly session_idle_days: number | null
  readonly session_absolute_days: number | null
}

export function lifetimesOf(row: LifetimesRow | undefined): Lifetimes {
  if (row === undefined) return SHORTEST
  const { access_minutes: minutes, session_idle_days: idle, session_absolute_days: absolute } = row
  if (minutes === null || idle === null || absolute === null) return SHORTEST
  return {
    accessSeconds: Math.min(LONGEST.accessSeconds, minutes * 60),
    idleSeconds: Math.min(LONGEST.idleSeconds, idle * DAY_SECONDS),
    absoluteSeconds: Math.min(LONGEST.absoluteSeconds, absolute * DAY_SECONDS),
  }
}

export async function lifetimesIn({ global }: Pick<AppDb, 'global'>, tenantId: TenantId): Promise<Lifetimes> {
  const [row] = await global.$queryRaw<LifetimesRow[]>`SELECT * FROM oauth_lifetimes(${tenantId})`
  return lifetimesOf(row)
}

/** How long a refresh token lasts whose session began so long ago: no successor outlives the session. */
export function refreshSeconds({ idleSeconds, absoluteSeconds }: Lifetimes, sessionAgeSeconds: number): number {
  return Math.max(1, Math.min(idleSeconds, absoluteSeconds - Math.ceil(sessionAgeSeconds)))
}
