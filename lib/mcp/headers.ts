/**
 * The rule that a modern request's headers say what its body says, so that a proxy may decide by the header and nobody
 * is told two things. The SDK checks the version and a differing method while it classifies; what must be present, and
 * the name, are checked here.
 *
 * @see MCP 2026-07-28, Streamable HTTP, "Standard request headers" (SEP-2243)
 * @module
 */
export const HEADER_MISMATCH = -32_020

interface NamedHeaders {
  readonly version: string | undefined
  readonly method: string | undefined
  readonly name: string | undefined
}

/** Which member of `params` the `Mcp-Name` header repeats. */
const NAME_SOURCES: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ['tasks/get', 'taskId'],
  ['tasks/update', 'taskId'],
  ['tasks/cancel', 'taskId'],
])

/** @returns what disagrees, undefined when nothing does */
export function findHeaderMismatch(
  headers: NamedHeaders,
  method: string,
  params: Readonly<Record<string, unknown>> | undefined,
): string | undefined {
  if (headers.version === undefined) return 'the MCP-Protocol-Version header is missing'
  if (headers.method === undefined) return 'the Mcp-Method header is missing'
  const source = NAME_SOURCES.get(method)
  if (source === undefined) return undefined
  const named = params?.[source]
  if (headers.name === undefined) return typeof named === 'string' ? 'the Mcp-Name header is missing' : undefined
  const value = decodeSentinel(headers.name.replace(/^[ \t]+|[ \t]+$/g, ''))
  if (value === undefined) return 'the Mcp-Name header is not valid Base64'
  return typeof named === 'string' && named !== value ? 'the Mcp-Name header names something else' : undefined
}

const SENTINEL = /^=\?base64\?(.*)\?=$/s
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const UTF8 = new TextDecoder('utf-8', { fatal: true })

/** Values that a header cannot hold travel as `=?base64?…?=`; others are literal. */
function decodeSentinel(value: string): string | undefined {
  const encoded = SENTINEL.exec(value)?.[1]
  if (encoded === undefined) return value
  if (!BASE64.test(encoded)) return undefined
  try {
    return UTF8.decode(Buffer.from(encoded, 'base64'))
  } catch {
    return undefined
  }
}
