/**
 * A process of its own that carries one connection flow to a given step and stays there until it is killed.
 *
 * @module
 */
import { brand } from '../ids'
import type { MemberPrincipal } from '../tenancy/principal'
import { createTestFlows, type FlowOptions } from './connection-flows'

export type Step = 'spooled' | 'vaulted' | 'shown' | 'blocked' | 'destroyed'

export interface DriverOptions extends FlowOptions {
  readonly stopAt: Step
}

export type DriverOrder =
  | {
      readonly op: 'callback'
      readonly provider: string
      readonly url: string
      readonly sessionId: string
      readonly personId: string
      readonly browserHash: string
    }
  | { readonly op: 'disconnect'; readonly principal: MemberPrincipal; readonly connectionId: string }

export type DriverReport = { readonly event: 'ready' } | { readonly event: 'reached'; readonly step: Step }

const options = JSON.parse(process.argv[2] ?? '{}') as DriverOptions // written by the test
const tell = (report: DriverReport) => process.send?.(report)

async function reach(step: Step): Promise<void> {
  if (step !== options.stopAt) return
  tell({ event: 'reached', step })
  await new Promise(() => undefined) // until it is killed
}

const flows = await createTestFlows(options, {
  spool: (spool) => ({
    ...spool,
    async write(answer, tokens) {
      await spool.write(answer, tokens)
      await reach('spooled')
    },
    async remove(id) {
      await reach('shown')
      await spool.remove(id)
    },
  }),
  credentials: (credentials) => ({
    ...credentials,
    async create(credential) {
      const created = await credentials.create(credential)
      await reach('vaulted')
      return created
    },
    async replace(credential, replacing) {
      const replaced = await credentials.replace(credential, replacing)
      await reach('vaulted')
      return replaced
    },
    async destroy(tenantId, connectionId, cause) {
      await reach('blocked')
      const destroyed = await credentials.destroy(tenantId, connectionId, cause)
      await reach('destroyed')
      return destroyed
    },
  }),
})

process.on('message', (order: DriverOrder) => {
  if (order.op === 'disconnect') void flows.connections.disconnect(order.principal, order.connectionId)
  else
    void flows.connections.callback(order.provider, new URL(order.url), {
      session: { sessionId: brand(order.sessionId), personId: brand(order.personId) },
      browserHash: Buffer.from(order.browserHash, 'base64'),
      network: '127.0.0.1',
    })
})
tell({ event: 'ready' })
