/**
 * Keeps the steps of clients, off the path of every request: they are gathered, and written together a moment later. A
 * step that cannot be written is forgotten; no answer waits for one, none fails of one.
 *
 * Bounded everywhere: so many wait in memory, so many are written of an agent and of a network within a minute, and an
 * agent keeps its newest. The same step again within a minute is counted at the one that stands.
 *
 * @module
 */
import { LRUCache } from 'lru-cache'

import type { AppDb, AppTx } from '../db/app-db'
import type { Clock } from '../clock'
import { brand, newId, type AgentId, type Id, type TenantId } from '../ids'
import type { Log } from '../log'
import { findReason } from './lookup'
import type { Detail, Observation, Observe } from './step'

export interface DoctorRecorder {
  readonly observe: Observe
  /** Writes what waits, now. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** Of an agent; older steps go when newer ones come. */
export const KEPT_STEPS = 200
const MAX_WAITING = 500
const BATCH = 200
const EVERY_MS = 500
const WINDOW_MS = 60_000
const PER_AGENT = 60
const PER_NETWORK = 20
/** How often a step without an agent is tried again: what tells whose it is may be written by another gateway. */
const TRIES = 3

interface Waiting extends Observation {
  readonly tries: number
}

interface Attributed extends Observation {
  readonly tenantId: TenantId
  readonly agentId: AgentId
}

interface Written {
  readonly tenantId: TenantId
  readonly id: Id<'doctorStep'>
}

export function createDoctorRecorder(deps: {
  readonly appDb: AppDb
  readonly clock: Clock
  readonly log: Log
}): DoctorRecorder {
  const { appDb, clock, log } = deps
  let waiting: Waiting[] = []
  let dropped = 0
  let timer: NodeJS.Timeout | undefined
  let flushing: Promise<void> | undefined
  const recent = new LRUCache<string, Written>({ max: 5_000, ttl: WINDOW_MS })
  const counts = new LRUCache<string, number>({ max: 10_000, ttl: WINDOW_MS })

  const observe: Observe = (observation) => {
    if (waiting.length >= MAX_WAITING) {
      dropped += 1
      return
    }
    waiting.push({ ...observation, tries: 0 })
    timer ??= setTimeout(() => {
      timer = undefined
      void flush()
    }, EVERY_MS).unref()
  }

  /** One at a time, so that a slow database has one transaction of ours and not many. */
  const flush = async (): Promise<void> => {
    await flushing
    flushing = write().finally(() => {
      flushing = undefined
    })
    await flushing
  }

  async function write(): Promise<void> {
    const batch = waiting.slice(0, BATCH)
    waiting = waiting.slice(BATCH)
    if (batch.length === 0) return
    if (dropped > 0) log.info({ dropped }, 'steps of clients came faster than they could be noted')
    dropped = 0
    try {
      const explained = await Promise.all(batch.map(explain))
      const { attributed, rest } = await attribute(explained)
      for (const [tenantId, steps] of byTenant(attributed)) await store(tenantId, steps)
      // What names no agent is judged after what does.
      const { attributed: late, rest: unknown } = await attributeByNetwork(rest)
      for (const [tenantId, steps] of byTenant(late)) await store(tenantId, steps)
      for (const step of unknown)
        if (step.tries + 1 < TRIES && waiting.length < MAX_WAITING) waiting.push({ ...step, tries: step.tries + 1 })
    } catch (error) {
      log.warn({ err: error, steps: batch.length }, 'steps of clients were not noted')
    }
    if (waiting.length > 0)
      timer ??= setTimeout(() => {
        timer = undefined
        void flush()
      }, EVERY_MS).unref()
  }

  async function explain(step: Waiting): Promise<Waiting> {
    if (step.credential === undefined) return step
    const finding = await findReason(appDb, step)
    if (finding === undefined) return step
    return {
      ...step,
      credential: undefined,
      problem: finding.problem,
      detail: { ...step.detail, ...(finding.reason === undefined ? {} : { reason: finding.reason }) },
      ...(step.agentId === undefined && finding.agent !== undefined ? finding.agent : {}),
    }
  }

  async function attribute(steps: readonly Waiting[]) {
    const asked = [
      ...new Set(
        steps.flatMap(({ agentId, tenantId }) => (tenantId === undefined && agentId !== undefined ? [agentId] : [])),
      ),
    ]
    const rows =
      asked.length === 0
        ? []
        : await appDb.global.$queryRaw<{ agent_id: string; tenant_id: string }[]>`
            SELECT agent_id, tenant_id FROM doctor_agents(${asked}::text[])`
    const tenantOf = new Map(rows.map((row) => [row.agent_id, brand<'tenant'>(row.tenant_id)]))
    const attributed: Attributed[] = []
    for (const step of steps) {
      const { agentId } = step
      const tenantId = step.tenantId ?? (agentId === undefined ? undefined : tenantOf.get(agentId))
      // An agent that does not exist is nobody's.
      if (agentId !== undefined && tenantId !== undefined) attributed.push({ ...step, agentId, tenantId })
    }
    return { attributed, rest: steps.filter(({ agentId }) => agentId === undefined) }
  }

  async function attributeByNetwork(steps: readonly Waiting[]) {
    const networks = [...new Set(steps.map(({ network }) => network))]
    const rows =
      networks.length === 0
        ? []
        : await appDb.global.$queryRaw<{ network: string; agent_id: string; tenant_id: string }[]>`
            SELECT network, agent_id, tenant_id FROM doctor_agents_of_networks(${networks}::text[])`
    const agentOf = new Map(rows.map((row) => [row.network, row]))
    const attributed: Attributed[] = []
    const rest: Waiting[] = []
    for (const step of steps) {
      const row = agentOf.get(step.network)
      if (row === undefined) rest.push(step)
      else attributed.push({ ...step, agentId: brand<'agent'>(row.agent_id), tenantId: brand<'tenant'>(row.tenant_id) })
    }
    return { attributed, rest }
  }

  const isOverLimit = (key: string, limit: number): boolean => {
    const count = (counts.get(key) ?? 0) + 1
    // The window begins with the first of it; the later ones do not prolong it.
    counts.set(key, count, { noUpdateTTL: true })
    return count > limit
  }

  async function store(tenantId: TenantId, steps: readonly Attributed[]): Promise<void> {
    const fresh: { readonly id: Id<'doctorStep'>; readonly step: Attributed; repeats: number; lastAt: Date }[] = []
    const again = new Map<Id<'doctorStep'>, { count: number; lastAt: Date }>()
    for (const step of steps) {
      const key = JSON.stringify([
        step.agentId,
        step.network,
        step.client,
        step.step,
        step.status,
        step.problem,
        step.detail,
      ])
      const known = recent.get(key)
      const here = fresh.find(({ id }) => id === known?.id)
      if (here !== undefined) {
        here.repeats += 1
        here.lastAt = step.at
      } else if (known !== undefined) {
        const { count } = again.get(known.id) ?? { count: 0 }
        again.set(known.id, { count: count + 1, lastAt: step.at })
      } else if (
        // The network first: what it sends too much of must not use up what the others may.
        !isOverLimit(`network ${step.agentId} ${step.network}`, PER_NETWORK) &&
        !isOverLimit(`agent ${step.agentId}`, PER_AGENT)
      ) {
        const id = newId('doctorStep', clock.now())
        fresh.push({ id, step, repeats: 0, lastAt: step.at })
        recent.set(key, { tenantId, id })
      }
    }
    await appDb.tenant(tenantId, async (tx) => {
      await tx.doctorStep.createMany({
        data: fresh.map(({ id, step, repeats, lastAt }) => ({
          tenantId,
          id,
          agentId: step.agentId,
          at: step.at,
          repeats,
          lastAt,
          step: step.step,
          status: step.status,
          problem: step.problem ?? null,
          client: step.client ?? null,
          network: step.network,
          detail: step.detail satisfies Detail,
        })),
      })
      for (const [id, { count, lastAt }] of again)
        await tx.$executeRaw`
          UPDATE doctor_step SET repeats = repeats + ${count}, last_at = ${lastAt} WHERE tenant_id = ${tenantId} AND id = ${id}`
      for (const agentId of new Set(fresh.map(({ step }) => step.agentId))) await prune(tx, tenantId, agentId)
    })
  }

  return {
    observe,
    async flush() {
      // A step that is tried again waits for the next round by itself.
      await flush()
    },
    async close() {
      clearTimeout(timer)
      timer = undefined
      await flush()
      clearTimeout(timer)
    },
  }
}

function byTenant(steps: readonly Attributed[]): ReadonlyMap<TenantId, Attributed[]> {
  const groups = new Map<TenantId, Attributed[]>()
  for (const step of steps) groups.set(step.tenantId, [...(groups.get(step.tenantId) ?? []), step])
  return groups
}

async function prune(tx: AppTx, tenantId: TenantId, agentId: AgentId): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM doctor_step WHERE tenant_id = ${tenantId} AND id IN (
      SELECT id FROM doctor_step WHERE tenant_id = ${tenantId} AND agent_id = ${agentId}
       ORDER BY at DESC, id DESC OFFSET ${KEPT_STEPS})`
}
