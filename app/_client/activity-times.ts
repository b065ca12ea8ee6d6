/**
 * The times of an address, as instants: `span=24h`, or days in UTC. Used by the page's server and by the browser, which
 * asks the API for the same.
 *
 * @module
 */
const HOUR_MS = 3_600_000
const SPANS: Readonly<Record<string, number>> = {
  '1h': HOUR_MS,
  '24h': 24 * HOUR_MS,
  '7d': 168 * HOUR_MS,
  '30d': 720 * HOUR_MS,
}

export const isSpan = (value: string): boolean => Object.hasOwn(SPANS, value)

/** `2026-11-21`, and a day that there is. */
export function isDay(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    /^[12]\d{3}-\d\d-\d\d$/.test(value) &&
    !Number.isNaN(Date.parse(value)) &&
    new Date(value).toISOString().startsWith(value)
  )
}

export function timesOf(
  filter: { readonly span?: string | undefined; readonly from?: string | undefined; readonly to?: string | undefined },
  now: Date,
): { readonly from?: Date; readonly to?: Date } {
  const { span, from, to } = filter
  if (from !== undefined || to !== undefined)
    return {
      ...(from === undefined ? {} : { from: new Date(from) }),
      // The last day is meant whole.
      ...(to === undefined ? {} : { to: new Date(Date.parse(to) + 24 * HOUR_MS) }),
    }
  const back = span === undefined ? undefined : SPANS[span]
  return back === undefined ? {} : { from: new Date(now.getTime() - back) }
}
