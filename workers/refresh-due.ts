/**
 * Keeps what is due refreshed: asked for by the queue, and by a clock of its own when the queue is silent.
 *
 * @module
 */
import { createIdle } from '@/lib/refresh/idle'
import { createProactive } from '@/lib/refresh/proactive'
import type { JobHandlers } from '@/lib/queue/workers'
import type { Core } from '@/wiring/core'

/** Longer than the queue takes to find its schedules again; due tokens have minutes. */
const SILENCE_MS = 30_000
const LOOK_MS = 10_000

export function createRefreshDue(core: Core) {
  const { appDb, clock, credentials, log, providerApps, providers, refresher, vaultDb } = core
  const idle = createIdle({ vaultDb, appDb, credentials, clock, log })
  const proactive = createProactive({
    vaultDb,
    refresher,
    apps: providerApps,
    idle,
    isConfigured: (provider, appKey) => providers.get(provider)?.app.key === appKey,
    log,
  })
  const look = setInterval(() => {
    if (core.notReady !== undefined) return
    proactive.startIfSilent(SILENCE_MS).catch((error: unknown) => {
      log.warn({ err: error }, 'What is due could not be looked for.')
    })
  }, LOOK_MS)
  look.unref()

  return {
    handlers: {
      refreshDue: () => proactive.start(),
      tendApps: async () => {
        await providerApps.tidy()
        const { ending, ended } = await idle.showEndings()
        if (ending + ended > 0) log.info({ ending, ended }, 'unused connections whose grant ends were marked')
      },
    } satisfies JobHandlers,
    /** Begins nothing new; resolves when the refreshes under way have ended. */
    stop: async (): Promise<void> => {
      clearInterval(look)
      await proactive.stop()
    },
  }
}
