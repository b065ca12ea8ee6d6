/**
 * The way out for bytes that are no HTTP: one connection, one text, closed again. The same rules as for every other
 * address that a tenant names: each address of the name is checked before the first packet and the connection is made to a
 * checked one; TLS is verified; plain TCP, and what is inside, only where the operator has opened exactly that
 * (`https://host:port` for TLS, `http://host:port` for plain).
 *
 * @module
 */
import net, { isIP } from 'node:net'
import tls from 'node:tls'

import { systemClock } from '../clock'
import { reachOf } from './address'
import {
  cachedResolver,
  checkedLookup,
  EgressError,
  parseAllowed,
  permittedReach,
  resolveBySystem,
  type EgressOptions,
} from './egress'

export interface TcpTarget {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
}

export interface TcpEgress {
  /**
   * Sends the text and waits until the other side has taken and closed, or has said nothing against it for a while.
   *
   * @throws EgressError `egress.refused`, `egress.timeout`
   */
  send(target: TcpTarget, text: string, options?: { readonly timeoutMs?: number }): Promise<void>
}

const TIMEOUT_MS = 15_000
/** A receiver that keeps its half open after ours has ended has taken everything by now. */
const QUIET_MS = 2_000

/** The origin by which the operator opens this target. */
export const originOf = ({ host, port, isTls }: TcpTarget): string =>
  new URL(`${isTls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`).origin

export function createTcpEgress(options: EgressOptions): TcpEgress {
  const allowed = parseAllowed(options)
  const resolve = cachedResolver(options.resolver ?? resolveBySystem, options.clock ?? systemClock)

  return {
    async send(target, text, { timeoutMs = TIMEOUT_MS } = {}) {
      const origin = originOf(target)
      if (!target.isTls && !allowed.has(origin)) throw new EgressError('egress.refused', 'scheme', false)
      const permitted = permittedReach(new URL(origin), allowed, options)
      if (isIP(target.host) !== 0 && !permitted.includes(reachOf(target.host)))
        throw new EgressError('egress.refused', 'address', false)
      const lookup = checkedLookup(resolve, permitted)
      await new Promise<void>((done, fail) => {
        const { host, port } = target
        const socket = target.isTls
          ? tls.connect({
              host,
              port,
              lookup,
              rejectUnauthorized: true,
              ...(isIP(host) === 0 ? { servername: host } : {}),
              ...(options.ca === undefined ? {} : { ca: options.ca }),
            })
          : net.connect({ host, port, lookup })
        let isSent = false
        let quiet: NodeJS.Timeout | undefined
        const finish = (error?: EgressError) => {
          clearTimeout(timer)
          clearTimeout(quiet)
          socket.destroy()
          if (error === undefined) done()
          else fail(error)
        }
        const timer = setTimeout(() => finish(new EgressError('egress.timeout', 'total', isSent)), timeoutMs)
        socket.on('error', (error) =>
          finish(error instanceof EgressError ? error : new EgressError('egress.refused', 'exchange', isSent, error)),
        )
        socket.once(target.isTls ? 'secureConnect' : 'connect', () => {
          isSent = true
          socket.end(text, () => {
            quiet = setTimeout(() => finish(), QUIET_MS)
          })
        })
        socket.on('close', () =>
          finish(socket.writableFinished ? undefined : new EgressError('egress.refused', 'closed', isSent)),
        )
        socket.resume() // what it answers is of no interest, but its end is
      })
    },
  }
}
