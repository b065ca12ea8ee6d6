/**
 * TXT records, as the name servers of the machine give them.
 *
 * @module
 */
import { Resolver } from 'node:dns/promises'

/** `absent`: the name servers say that there is none. `unknown`: they did not say, which proves nothing either way. */
export type TxtAnswer =
  | { readonly kind: 'found'; readonly records: readonly string[] }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown' }

/** Injected by tests, which play the name servers. */
export type TxtLookup = (name: string) => Promise<TxtAnswer>

const MAX_RECORDS = 50

/** @param options.servers  `address:port`, instead of the machine's own */
export function createTxtLookup(
  options: { readonly servers?: readonly string[]; readonly timeoutMs?: number } = {},
): TxtLookup {
  const resolver = new Resolver({ timeout: options.timeoutMs ?? 3_000, tries: 2 })
  if (options.servers !== undefined) resolver.setServers([...options.servers])
  return async (name) => {
    try {
      const records = await resolver.resolveTxt(name)
      // An alias that leads to nothing.
      if (records.length === 0) return { kind: 'absent' }
      // A long text comes in pieces (RFC 7208 §3.3).
      return { kind: 'found', records: records.slice(0, MAX_RECORDS).map((pieces) => pieces.join('')) }
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      return { kind: code === 'ENOTFOUND' || code === 'ENODATA' ? 'absent' : 'unknown' }
    }
  }
}
