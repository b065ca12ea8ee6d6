/**
 * Reads the body of an MCP request: once, bounded in size and depth, and only as UTF-8.
 *
 * @module
 */
import type { IncomingMessage } from 'node:http'

export const MAX_BODY_BYTES = 1024 * 1024
const MAX_DEPTH = 64

export type BodyResult =
  { readonly kind: 'json'; readonly value: unknown } | { readonly kind: 'too_large' } | { readonly kind: 'invalid' }

/** Rejects when the client goes away before the body is complete. */
export async function readBody(request: IncomingMessage): Promise<BodyResult> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return { kind: 'too_large' }
  const bytes = await collect(request)
  if (bytes === undefined) return { kind: 'too_large' }
  if (exceedsDepth(bytes)) return { kind: 'invalid' }
  try {
    return { kind: 'json', value: JSON.parse(UTF8.decode(bytes)) }
  } catch {
    return { kind: 'invalid' }
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

function collect(request: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= MAX_BODY_BYTES) chunks.push(chunk)
      else {
        request.pause()
        resolve(undefined)
      }
    })
    request.on('end', () => {
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size))
    })
    request.on('error', reject)
    request.on('close', () => {
      reject(new Error('the client went away'))
    })
  })
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Nesting of brackets outside strings. Deep input is cheap to send and expensive for every recursive reader after us. */
function exceedsDepth(bytes: Buffer): boolean {
  let depth = 0
  let isString = false
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]
    if (isString) {
      if (byte === BACKSLASH) at += 1
      else if (byte === QUOTE) isString = false
    } else if (byte === QUOTE) isString = true
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1
      if (depth > MAX_DEPTH) return true
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1
  }
  return false
}
