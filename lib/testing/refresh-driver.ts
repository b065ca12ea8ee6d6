/**
 * A process of its own with a refresh engine in it. Takes orders over IPC; used to race, stop and kill real processes.
 *
 * @module
 */
import { AppError } from '../errors'
import type { ConnectionId, TenantId } from '../ids'
import { createEngine, type EngineOptions } from './refresh-engine'

export interface Order {
  readonly id: number
  readonly op: 'calls' | 'recover' | 'drain'
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly count: number
}

export interface CallResult {
  readonly token?: string
  readonly generation?: number
  readonly code?: string
}

export type Report =
  | { readonly event: 'ready' }
  | { readonly event: 'spooled' }
  | { readonly event: 'done'; readonly id: number; readonly results: CallResult[] }

const options = JSON.parse(process.argv[2] ?? '{}') as EngineOptions & { holdAfterSpool?: boolean; warm?: Order } // written by the test
const tell = (report: Report) => process.send?.(report)

const engine = await createEngine(options, (journal) => ({
  ...journal,
  async write(answer, tokens) {
    await journal.write(answer, tokens)
    tell({ event: 'spooled' })
    if (options.holdAfterSpool === true) await new Promise(() => undefined) // until it is killed
  },
}))

process.on('message', (order: Order) => {
  void carryOut(order).then((results) => tell({ event: 'done', id: order.id, results }))
})
tell({ event: 'ready' })

async function carryOut(order: Order): Promise<CallResult[]> {
  switch (order.op) {
    case 'recover':
      await engine.refresher.recoverAbandoned()
      return []
    case 'drain':
      await engine.refresher.drain()
      return []
    case 'calls':
      return Promise.all(Array.from({ length: order.count }, () => call(order)))
  }
}

async function call({ tenantId, connectionId }: Order): Promise<CallResult> {
  try {
    const { token, generation } = await engine.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 })
    return { token: token.reveal(), generation }
  } catch (error) {
    return { code: error instanceof AppError ? error.code : String(error) }
  }
}
