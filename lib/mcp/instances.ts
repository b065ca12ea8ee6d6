/**
 * The gateways that run now: each says so every few seconds, and where the others reach it.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import type { Log } from '../log'
import type { Instances } from './relay'

const BEAT_MS = 5_000
const ALIVE_MS = 20_000

export interface OwnInstance extends Instances {
  /** Says that this gateway is here, now and from now on. */
  start(): Promise<void>
  /** Says that it is gone. */
  close(): Promise<void>
}

/** @param deps.advertiseUrl  undefined: other gateways cannot reach this one, and its sessions are not found there */
export function createInstances(deps: {
  readonly appDb: AppDb
  readonly log: Log
  readonly ownId: string
  readonly advertiseUrl: string | undefined
}): OwnInstance {
  const { appDb, log, ownId, advertiseUrl } = deps
  let timer: NodeJS.Timeout | undefined
  const beat = async () => {
    await appDb.global.$executeRaw`
      INSERT INTO gateway_instance (id, advertise_url) VALUES (${ownId}, ${advertiseUrl ?? null})
      ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()`
    await appDb.global.$executeRaw`DELETE FROM gateway_instance WHERE heartbeat_at < now() - interval '1 hour'`
  }
  return {
    ownId,
    async start() {
      await beat()
      timer = setInterval(() => {
        beat().catch((error: unknown) => log.warn({ err: error }, 'this gateway could not say that it is here'))
      }, BEAT_MS).unref()
    },
    async originOf(instanceId) {
      if (instanceId === ownId) return undefined
      const [row] = await appDb.global.$queryRaw<{ advertise_url: string | null }[]>`
        SELECT advertise_url FROM gateway_instance
         WHERE id = ${instanceId} AND heartbeat_at > now() - make_interval(secs => ${ALIVE_MS / 1_000}::double precision)`
      return row?.advertise_url ?? undefined
    },
    async close() {
      clearInterval(timer)
      await appDb.global.$executeRaw`DELETE FROM gateway_instance WHERE id = ${ownId}`.catch(() => 0)
    },
  }
}
