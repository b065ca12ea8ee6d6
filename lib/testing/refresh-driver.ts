/**
 * A process of its own with a refresh engine in it. Takes orders over IPC; used to race, stop and kill real processes.
 *
 * It can be told to wait at one step of a refresh, once, and says when it is there: what is killed or stopped then is
 * killed or stopped exactly there.
 *
 * @module
 */
import { AppError } from '../errors'
import type { ConnectionId, TenantId } from '../ids'
import { createEngine, type EngineOptions } from './refresh-engine'

/**
 * Where a process can be made to wait: the lease is its own; the request is about to leave; the provider's answer is in
 * memory alone; it is on disk too; it is in the database.
 */
export type Step = 'claimed' | 'sending' | 'answered' | 'spooled' | 'saved'

export interface DriverOptions extends EngineOptions {
  readonly holdAfterSpool?: boolean
  readonly stopAt?: Step
}

export interface Order {
  readonly id: number
  readonly op: 'calls' | 'refused' | 'due' | 'recover' | 'drain' | 'go'
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
  | { readonly event: 'reached'; readonly step: Step }
  | { readonly event: 'done'; readonly id: number; readonly results: CallResult[] }

const options = JSON.parse(process.argv[2] ?? '{}') as DriverOptions // written by the test
const tell = (report: Report) => process.send?.(report)

let goOn: () => void = () => undefined
const told = new Promise<void>((resolve) => (goOn = resolve))
let isPast = false

async function reach(step: Step): Promise<void> {
  if (step !== options.stopAt || isPast) return
  isPast = true
  tell({ event: 'reached', step })
  await told // or until it is killed
}

const engine = await createEngine(
  options,
  (journal) => ({
    ...journal,
    async prepare(answer) {
      await journal.prepare(answer)
      await reach('claimed')
    },
    async write(answer, tokens) {
      await reach('answered')
      await journal.write(answer, tokens)
      tell({ event: 'spooled' })
      if (options.holdAfterSpool === true) await new Promise(() => undefined) // until it is killed
      await reach('spooled')
    },
    async remove(attemptId) {
      await reach('saved')
      await journal.remove(attemptId)
    },
  }),
  (providers) => ({
    get(name) {
      const client = providers.get(name)
      if (client === undefined) return undefined
      return {
        ...client,
        async refresh(refreshToken, how) {
          await reach('sending')
          return client.refresh(refreshToken, how)
        },
      }
    },
  }),
)

process.on('message', (order: Order) => {
  void carryOut(order).then((results) => tell({ event: 'done', id: order.id, results }))
})
tell({ event: 'ready' })

async function carryOut(order: Order): Promise<CallResult[]> {
  switch (order.op) {
    case 'go':
      goOn()
      return []
    case 'due':
      await engine.refresher.refreshDue(order.count)
      return []
    case 'recover':
      await engine.refresher.recoverAbandoned()
      return []
    case 'drain':
      await engine.refresher.drain()
      return []
    case 'calls':
    case 'refused':
      return Promise.all(Array.from({ length: order.count }, () => call(order)))
  }
}

async function call({ op, tenantId, connectionId }: Order): Promise<CallResult> {
  try {
    const { token, generation } =
      op === 'refused'
        ? await engine.refresher.afterUnauthorized(tenantId, connectionId, 1)
        : await engine.refresher.accessToken(tenantId, connectionId, { minGeneration: 1 })
    return { token: token.reveal(), generation }
  } catch (error) {
    return { code: error instanceof AppError ? error.code : String(error) }
  }
}
