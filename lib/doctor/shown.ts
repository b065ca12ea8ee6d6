/**
 * What of a stranger's words may be shown: only forms we know. A token in the wrong field is not among them, so it is
 * never kept, whichever field it was.
 *
 * @module
 */
import { isId } from '../ids'

/** Prefixes of every secret we issue, and of what else looks like one. */
const SECRET = /p(?:cs|ck|cw|co|oa|or|oz)_|eyJ[\w-]{8,}\.|[\w-]{40,}/

const keep =
  (pattern: RegExp, maxLength: number) =>
  (value: unknown): string | undefined =>
    typeof value === 'string' && value.length <= maxLength && pattern.test(value) && !SECRET.test(value)
      ? value
      : undefined

/** `2025-11-25` */
export const shownVersion = keep(/^\d{4}-\d{2}-\d{2}$/, 10)
/** `tools/call` */
export const shownMethod = keep(/^[a-z]+(?:\/[a-z_]+){0,3}$/i, 60)
export const shownTool = keep(/^[a-z0-9_]{1,64}$/, 64)
/** `application/json, text/event-stream` */
export const shownMediaTypes = keep(/^[\w.+*-]+\/[\w.+*-]+(?:\s*[,;]\s*[\w.+*/=-]+)*$/, 120)
export const shownScope = keep(/^[a-z_]+(?:[:.][a-z_]+)*(?: [a-z_]+(?:[:.][a-z_]+)*){0,15}$/i, 200)
export const shownCode = keep(/^[a-z_]+$/, 40)
export const shownHost = keep(/^(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i, 120)

/** Name and version a program gives of itself: `Cursor/1.7.2`, `node`. What follows is for machines; browsers say nothing first. */
export function shownProduct(userAgent: string | undefined): string | undefined {
  const first = /^[A-Za-z][\w.-]{0,39}(?:\/\d[\w.-]{0,19})?/.exec(userAgent ?? '')?.[0]
  if (first === undefined || SECRET.test(first)) return undefined
  return first.startsWith('Mozilla/') ? 'A browser' : first
}

/** Text a client chose, such as its name: one line, nothing that directs or hides. */
export function shownText(value: unknown, maxLength: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = Array.from(
    value
      .slice(0, 1_024)
      .normalize('NFKC')
      .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
      .replace(/[\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu, '')
      .trim(),
  )
    .slice(0, maxLength)
    .join('')
  return text === '' || SECRET.test(text) ? undefined : text
}

/** An id of ours, or the address of a client's document without its query. */
export function shownClientId(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  return isId('oauthClient', value) ? value : shownAddress(value)
}

/** Scheme, host and path; never user, query or fragment. */
export function shownAddress(value: unknown): string | undefined {
  const url = parse(value)
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:') || SECRET.test(url.host))
    return undefined
  const path = url.pathname === '/' ? '' : url.pathname
  const text = url.origin + path
  return text.length > 200 || SECRET.test(path) ? `${url.origin}/…` : text
}

/** Where an answer goes: the host, or the scheme of a program on the device. */
export function shownRedirect(value: unknown): string | undefined {
  const url = parse(value)
  if (url === undefined) return undefined
  return url.protocol === 'https:' || url.protocol === 'http:'
    ? shownHost(url.host)
    : keep(/^[a-z][a-z0-9.+-]{0,59}:$/, 61)(url.protocol)
}

function parse(value: unknown): URL | undefined {
  return typeof value === 'string' && value.length <= 2_048 && URL.canParse(value) ? new URL(value) : undefined
}
