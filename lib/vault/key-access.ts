/**
 * A process's hold on its keys. Without them it stays up and says why; as soon as they can be had (a key service is back, a
 * lost key file was restored) it goes on by itself. Nothing changes state meanwhile.
 *
 * @module
 */
import { AppError } from '../errors'
import type { Log } from '../log'
import { openKeys, type KeySources, type OpenedKeys } from './readiness'
import type { TenantKeys } from './tenant-keys'

type Keys = Extract<OpenedKeys, { ok: true }>

export interface KeyAccess {
  /** Each use fails with `vault.key_unavailable` until the keys are there. */
  readonly keys: TenantKeys
  /** Why they are not; undefined when they are. */
  readonly notReady: string | undefined
  /** @throws AppError `vault.key_unavailable` with the reason */
  opened(): Keys
  /** Runs at once, or as soon as the keys are there. Never twice. */
  whenReady(work: () => void): void
  /** Ends the waiting and zeroes what is in memory. */
  close(): Promise<void>
}

export interface KeyAccessTiming {
  readonly retryMs: number
  readonly maxRetryMs: number
}

const TIMING: KeyAccessTiming = { retryMs: 1_000, maxRetryMs: 15_000 }

/** @throws when the database does not answer at the first try; that says nothing about keys */
export async function openKeyAccess(
  sources: KeySources,
  log: Log,
  timing: KeyAccessTiming = TIMING,
): Promise<KeyAccess> {
  let last = await openKeys(sources)
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  let trying: Promise<void> = Promise.resolve()
  const waiting: (() => void)[] = []

  const again = (tries: number): void => {
    if (isClosed) return
    const delayMs = Math.min(timing.retryMs * 2 ** tries, timing.maxRetryMs) * (0.75 + Math.random() / 2)
    timer = setTimeout(() => {
      trying = attempt(tries)
    }, delayMs)
    timer.unref()
  }
  const attempt = async (tries: number): Promise<void> => {
    const found = await openKeys(sources).catch((error: unknown) => {
      log.warn({ err: error }, 'whether the keys fit could not be asked')
      return undefined
    })
    if (isClosed) {
      if (found?.ok === true) await letGo(found)
      return
    }
    if (found?.ok === false && !last.ok && found.reason !== last.reason)
      log.error({ reason: found.reason }, 'still not ready')
    if (found !== undefined) last = found
    if (!last.ok) {
      again(tries + 1)
      return
    }
    log.info({}, 'the keys are there: ready')
    for (const work of waiting.splice(0)) work()
  }
  if (!last.ok) again(0)

  const opened = (): Keys => {
    if (last.ok) return last
    throw new AppError(
      'vault.key_unavailable',
      'The service cannot open credentials now. Its operator has been told why.',
      { internal: { reason: last.reason }, retryAfterSeconds: 15 },
    )
  }
  return {
    keys: {
      current: async (tenantId, purpose) => opened().keys.current(tenantId, purpose),
      at: async (tenantId, purpose, version) => opened().keys.at(tenantId, purpose, version),
      destroy: async (tenantId, purpose, version) => opened().keys.destroy(tenantId, purpose, version),
    },
    get notReady() {
      return last.ok ? undefined : last.reason
    },
    opened,
    whenReady(work) {
      if (last.ok) work()
      else waiting.push(work)
    },
    async close() {
      isClosed = true
      clearTimeout(timer)
      await trying
      if (last.ok) await letGo(last)
    },
  }
}

async function letGo({ kek, keys }: Keys): Promise<void> {
  keys.forget()
  await kek.close()
}
