/**
 * Which addresses the public internet reaches. Everything else (loopback, private, link-local with the clouds' metadata
 * services, carrier NAT, and every IPv6 form that embeds an IPv4 address) belongs to somebody's inside.
 *
 * An allow-list: a range nobody has classified yet is not public (RFC 6890, RFC 8190).
 *
 * @module
 */
import ipaddr from 'ipaddr.js'

/** Public by the registries, answered by the inside of a cloud: Azure's host agent. */
const HOST_AGENTS: readonly string[] = ['168.63.129.16']

export type Reach = 'public' | 'private' | 'loopback' | 'forbidden'

/**
 * Where an address leads. `private` and `loopback` are what an operator may open by name; `forbidden` (metadata
 * services, multicast, translated and reserved forms) is opened by nothing.
 *
 * @param address  an address as the resolver or the URL parser wrote it; anything else is `forbidden`
 */
export function reachOf(address: string): Reach {
  if (!ipaddr.isValid(address)) return 'forbidden'
  const parsed = ipaddr.parse(address)
  if (parsed instanceof ipaddr.IPv4) {
    if (HOST_AGENTS.includes(parsed.toString())) return 'forbidden'
    switch (parsed.range()) {
      case 'unicast':
        return 'public'
      case 'private':
      case 'carrierGradeNat':
        // Alibaba's metadata service lives in carrier NAT space.
        return parsed.toString() === '100.100.100.200' ? 'forbidden' : 'private'
      case 'loopback':
        return 'loopback'
      default:
        return 'forbidden'
    }
  }
  switch (parsed.range()) {
    case 'unicast':
      // The only block from which global unicast is assigned (RFC 4291 §2.4). IPv4-compatible forms (::127.0.0.1) end here.
      return parsed.match(GLOBAL_UNICAST, 3) ? 'public' : 'forbidden'
    case 'uniqueLocal':
      // AWS's metadata service lives in unique local space.
      return parsed.toString() === 'fd00:ec2::254' ? 'forbidden' : 'private'
    case 'loopback':
      return 'loopback'
    default:
      return 'forbidden'
  }
}

const GLOBAL_UNICAST = ipaddr.IPv6.parse('2000::')
