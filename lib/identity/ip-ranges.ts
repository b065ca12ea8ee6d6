/**
 * From where a key may be used: CIDR ranges in one spelling, compared with the client's address as the gateway
 * established it. An IPv4 address inside IPv6 is that IPv4 address, on both sides.
 *
 * @see RFC 4632 §3.1, RFC 4291 §2.3
 * @module
 */
import ipaddr from 'ipaddr.js'

import { AppError } from '../errors'

export const MAX_IP_RANGES = 20

/** @throws AppError `request.invalid` naming `field`; a single address is the range of itself */
export function parseIpRanges(entries: readonly string[], field: string): string[] {
  if (entries.length > MAX_IP_RANGES)
    throw new AppError('request.invalid', `At most ${MAX_IP_RANGES} ranges.`, { field })
  return [...new Set(entries.map((entry) => parse(entry.trim(), field)))]
}

function parse(entry: string, field: string): string {
  const invalid = () =>
    new AppError('request.invalid', 'Each must be an address or a range, such as 192.0.2.0/24 or 2001:db8::/32.', {
      field,
    })
  const [text = '', bits, more] = entry.split('/')
  // Short forms (10.1, 0x7f.1) mean different things to different programs.
  const isPlain = /^(0|[1-9]\d*)(\.(0|[1-9]\d*)){3}$/.test(text) || text.includes(':')
  if (more !== undefined || !isPlain || !ipaddr.isValid(text) || text.includes('%')) throw invalid()
  const given = ipaddr.parse(text)
  const address = ipaddr.process(text)
  const most = address.kind() === 'ipv4' ? 32 : 128
  if (bits === undefined) return `${address.toString()}/${most}`
  if (!/^\d{1,3}$/.test(bits)) throw invalid()
  const length = Number(bits) - (given.kind() === address.kind() ? 0 : 96)
  if (length < 0 || length > most) throw invalid()
  const range = `${address.toString()}/${length}`
  const network =
    address.kind() === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(range) : ipaddr.IPv6.networkAddressFromCIDR(range)
  return `${network.toString()}/${length}`
}

/** True when there are no ranges, or the address is in one of them. An address nobody knows is in none. */
export function isWithin(address: string, ranges: readonly string[]): boolean {
  if (ranges.length === 0) return true
  if (!ipaddr.isValid(address)) return false
  const client = ipaddr.process(address)
  return ranges.some((range) => {
    const [network, bits] = ipaddr.parseCIDR(range)
    return network.kind() === client.kind() && client.match(network, bits)
  })
}
