/**
 * The broker as one request's server sees it: bound to the principal, to what ends the request, and to what its client
 * can be asked.
 *
 * @module
 */
import type { RequestId } from '@modelcontextprotocol/server'

import type { Broker, ToolResult } from '../broker/call'
import type { AgentPrincipal } from '../tenancy/principal'
import type { AccountRequests, CanAsk } from './connect'
import type { ServerBackend } from './server'

/** How long a retried call waits for its user to be done. The client may ask again. */
const WAIT_MS = 20_000
const LOOK_MS = 1_000

export function bindBackend(deps: {
  readonly broker: Pick<Broker, 'call' | 'list' | 'isReady'>
  readonly requests: AccountRequests
  readonly principal: AgentPrincipal
  readonly signalOf: (id: RequestId) => AbortSignal
  /** What a client of this revision can be asked, given what it declared with the request. */
  readonly canAsk: (canOpenUrls: boolean) => CanAsk
}): ServerBackend {
  const { broker, requests, principal, signalOf, canAsk } = deps

  async function untilReady(name: string, args: unknown, signal: AbortSignal): Promise<void> {
    const until = performance.now() + WAIT_MS
    while (!signal.aborted && performance.now() < until && !(await broker.isReady(principal, name, args)))
      await pause(LOOK_MS, signal)
  }

  return {
    list: () => broker.list(principal),
    call: (name, args, { id, onProgress }) =>
      broker.call(principal, name, args, {
        signal: signalOf(id),
        ...(onProgress === undefined ? {} : { onProgress }),
      }),
    async resume(call, { id, state, responses }) {
      const { answer, round } = await requests.read(principal, call, { state, responses })
      if (answer === 'declined') return { result: DECLINED, round }
      if (answer === 'accepted') await untilReady(call.name, call.args, signalOf(id))
      return { round }
    },
    async ask(call, result, { canOpenUrls }, round) {
      if (result.kind !== 'error' || result.connectUrl === undefined) return undefined
      const message = result.text
      return requests.ask(principal, call, { canAsk: canAsk(canOpenUrls), url: result.connectUrl, message, round })
    },
  }
}

const DECLINED: ToolResult = {
  kind: 'error',
  text: 'The user did not connect the account that this needs. Do not ask again unless they want it.',
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}
