/**
 * Times for people. No locale data is used, so server and browser write the same characters.
 *
 * @module
 */
const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs
/** The page's clock moves in steps, so what has just happened may lie this far ahead of it. */
const leadMs = 10_000

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const

/** `2026-03-14 09:21:05 UTC`, or undefined when the text is no date. */
export function formatAbsolute(iso: string): string | undefined {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return undefined
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** `14 Mar 2026`. */
export function formatDay(at: Date): string {
  return `${at.getUTCDate()} ${months[at.getUTCMonth()] ?? ''} ${at.getUTCFullYear()}`
}

/** `just now`, `5 min ago`, `in 3 h`, `2 days ago`; the date itself beyond a fortnight or when there is no `now`. */
export function formatRelative(iso: string, now: number | undefined): string {
  const at = new Date(iso)
  if (Number.isNaN(at.getTime())) return 'unknown'
  if (now === undefined) return formatDay(at)
  const distance = at.getTime() - now
  const size = Math.abs(distance)
  if (size < 45_000) return distance >= leadMs ? 'in a moment' : 'just now'
  if (size >= 14 * dayMs) return formatDay(at)
  const amount =
    size < hourMs
      ? `${Math.max(1, Math.round(size / minuteMs))} min`
      : size < dayMs
        ? `${Math.round(size / hourMs)} h`
        : Math.round(size / dayMs) === 1
          ? '1 day'
          : `${Math.round(size / dayMs)} days`
  return distance > 0 ? `in ${amount}` : `${amount} ago`
}
