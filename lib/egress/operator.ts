/**
 * The second way out, for endpoints that the operator of this installation named in its configuration: a key service, a
 * sink. Such an endpoint may be private or on this machine; plain http is for this machine alone. Nothing a tenant, a
 * client or a provider says ever becomes a URL here, and no other origin than the one named can be asked.
 *
 * @module
 */
import { isLoopbackHost } from '../config'
import { AppError } from '../errors'
import { createEgress, EgressError, type Egress } from './egress'

export type OperatorEgress = Pick<Egress, 'request' | 'close'>

/**
 * @param options.setting  the variable that names the origin, for the message
 * @param options.ca  an authority of the operator's own, in PEM form
 * @throws AppError `config.invalid` when it is plain http beyond this machine
 */
export function createOperatorEgress(options: {
  readonly setting: string
  readonly url: string
  readonly ca?: string | undefined
}): OperatorEgress {
  const { protocol, hostname, origin } = new URL(options.url)
  if (protocol === 'http:' && !isLoopbackHost(hostname))
    throw new AppError('config.invalid', `${options.setting}: must be https unless it is on this machine`)
  const egress = createEgress({
    allow: [origin],
    allowUnsafe: true,
    production: false,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  })
  return {
    request: async (url, init) => {
      if (new URL(url).origin !== origin) throw new EgressError('egress.refused', 'origin', false)
      return egress.request(url, init)
    },
    close: () => egress.close(),
  }
}
