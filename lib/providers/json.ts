/**
 * Reading what a provider sent, as little as is needed and no more than was promised. Pure.
 *
 * @module
 */
export type Json = Readonly<Record<string, unknown>>

const UTF8 = new TextDecoder('utf-8', { fatal: true }) // drops a byte order mark, refuses other charsets

export function parseObject(body: Buffer): Json | undefined {
  try {
    const value: unknown = JSON.parse(UTF8.decode(body))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A field of an object within an object, whatever is or is not there. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value
  for (const name of path) {
    if (!isObject(found) || !Object.hasOwn(found, name)) return undefined
    found = found[name]
  }
  return found
}

/** A text that says something. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = at(value, ...path)
  return typeof found === 'string' && found !== '' ? found : undefined
}

/** Shown to people beside other accounts, so without line breaks and direction marks. */
export function label(value: string): string {
  return value
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
    .trim()
    .slice(0, 120)
}

/** The claims of a JWT that came straight from the endpoint that made it; its signature is not looked at. */
export function claimsOf(jwt: unknown): Json | undefined {
  if (typeof jwt !== 'string') return undefined
  const [, payload, ...rest] = jwt.split('.')
  return payload === undefined || rest.length !== 1 ? undefined : parseObject(Buffer.from(payload, 'base64url'))
}
