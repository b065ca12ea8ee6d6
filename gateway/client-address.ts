/**
 * Whose request this is, as an address. `X-Forwarded-For` is believed only as far as each hop that wrote it is a proxy
 * the operator named; everything left of the first unknown hop is the client's own invention.
 *
 * @module
 */
import ipaddr from 'ipaddr.js'

import { AppError } from '@/lib/errors'

type Address = ipaddr.IPv4 | ipaddr.IPv6
type Range = [Address, number]

/** @throws AppError `config.invalid` when an entry is neither an address nor a CIDR range. */
export function parseTrustedProxies(entries: readonly string[]): readonly Range[] {
  return entries.map((entry) => {
    try {
      if (entry.includes('/')) return ipaddr.parseCIDR(entry)
      const address = ipaddr.process(entry)
      return [address, address.kind() === 'ipv4' ? 32 : 128]
    } catch {
      throw new AppError('config.invalid', 'TRUSTED_PROXIES: each entry must be an address or a CIDR range')
    }
  })
}

/** The address of the client: the peer, or the nearest hop that no trusted proxy vouches for. */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trusted: readonly Range[],
): string {
  let current = parse(peer)
  const hops = (forwardedFor ?? '')
    .split(',')
    .map((hop) => hop.trim())
    .filter((hop) => hop !== '')
  while (current !== undefined && hops.length > 0 && isTrusted(current, trusted)) {
    const next = parse(hops.pop())
    if (next === undefined) break
    current = next
  }
  return current?.toString() ?? 'unknown'
}

/** The unit of rate limits: one IPv4 address, or the /64 that one subscriber of IPv6 owns. */
export function canonicalNetwork(address: string): string {
  const parsed = parse(address)
  if (parsed === undefined) return 'unknown'
  if (parsed.kind() === 'ipv4') return parsed.toString()
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toString()}/64`).toString()}/64`
}

function parse(value: string | undefined): Address | undefined {
  if (value === undefined || !ipaddr.isValid(value)) return undefined
  return ipaddr.process(value) // unwraps IPv4-mapped IPv6
}

function isTrusted(address: Address, trusted: readonly Range[]): boolean {
  return trusted.some(([range, bits]) => range.kind() === address.kind() && address.match(range, bits))
}
