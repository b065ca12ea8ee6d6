/**
 * The page somebody wanted when they asked for a sign-in link by mail: the link opens in another tab, which knows nothing
 * of this one. Kept in this browser alone, so a link never carries an address; the gateway decides whether it is one of
 * ours.
 *
 * @module
 */
const KEY = 'portcullis.wanted-page'
/** As long as the link and whatever waits for the person at the other end. */
const MAX_AGE_MS = 30 * 60_000

/** Undefined forgets. */
export function keepWantedPage(path: string | undefined): void {
  try {
    if (path === undefined) localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, JSON.stringify([path, Date.now()]))
  } catch {
    // No storage in this browser: the link leads to the start page.
  }
}

/** @returns the page, once */
export function takeWantedPage(): string | undefined {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? 'null')
    localStorage.removeItem(KEY)
    if (!Array.isArray(kept)) return undefined
    const [path, at] = kept as unknown[] // anything may lie there
    return typeof path === 'string' && typeof at === 'number' && Date.now() - at < MAX_AGE_MS ? path : undefined
  } catch {
    return undefined
  }
}
