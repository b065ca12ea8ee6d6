/**
 * Where to go after signing in: a page of ours or the start page. An address that a browser could read as another
 * site's (`//evil`, `/\evil`, a tab inside) is not ours.
 *
 * @see WHATWG URL §4.4 (backslashes, stripped tabs and newlines)
 * @module
 */
const START = '/'
const MAX_LENGTH = 2_048
/** Prefixes that are endpoints, not pages: following one after signing in is never what a person meant. */
const NOT_PAGES = ['/api/', '/signin/', '/connect/', '/oauth/', '/mcp/', '/webhooks/', '/login', '/sign-up']

/** @returns a path with query and fragment that stays on this origin */
export function safeReturnPath(input: string | undefined, publicUrl: string): string {
  if (input === undefined || input.length > MAX_LENGTH || !/^\/(?![/\\])/.test(input)) return START
  if (/[\u0000-\u0020\u007f\\]/.test(input)) return START
  if (!URL.canParse(input, publicUrl)) return START
  const url = new URL(input, publicUrl)
  if (url.origin !== new URL(publicUrl).origin || url.pathname.startsWith('//')) return START
  if (NOT_PAGES.some((prefix) => url.pathname === prefix || url.pathname.startsWith(prefix))) return START
  return url.pathname + url.search + url.hash
}
