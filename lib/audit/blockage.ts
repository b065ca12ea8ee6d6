/**
 * Remembers that a table of the trail does not take records, so that of many who need it only the first waits. As long as
 * it is remembered nobody asks the table but one probe in the background; once that passes, everything goes its usual way.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import type { Log } from '../log'

export interface Blockage {
  readonly isBlocked: boolean
  /** Somebody asked in vain. The probe looks at once, so a fault of theirs alone is forgotten at once too. */
  report(): void
}

/** What a probe, and whoever must not be held up, waits for a lock. */
export const SHORT_LOCK_MS = 250
export const PROBE_MS = 1_000

export function createBlockage(deps: {
  /** Rejects as long as the table does not answer. Must end by itself. */
  readonly probe: () => Promise<unknown>
  readonly everyMs?: number
  /** Told when it begins and when it is over. */
  readonly onChange?: (isBlocked: boolean) => void
}): Blockage & { close(): void } {
  const { probe, everyMs = PROBE_MS, onChange = () => undefined } = deps
  let isBlocked = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  const look = () => {
    timer = undefined
    probe().then(
      () => {
        isBlocked = false
        onChange(false)
      },
      () => {
        if (isClosed) return
        timer = setTimeout(look, everyMs)
        timer.unref()
      },
    )
  }
  return {
    get isBlocked() {
      return isBlocked
    },
    report: () => {
      if (isBlocked || isClosed) return
      isBlocked = true
      onChange(true)
      look()
    },
    close: () => {
      isClosed = true
      clearTimeout(timer)
    },
  }
}

/** Inserting no row takes the lock and needs the rights that inserting one does. */
const PROBES = {
  trail: (tx: AppTx) =>
    tx.$executeRaw`
      INSERT INTO audit_record (tenant_id, id, kind, action, actor_kind) SELECT '', '', 'event', '', 'system' WHERE false`,
  outbox: (tx: AppTx) =>
    tx.$executeRaw`INSERT INTO audit_outbox (tenant_id, id, record) SELECT '', '', '{}'::jsonb WHERE false`,
} as const

export function createTrailBlockages(deps: { readonly appDb: AppDb; readonly log: Log; readonly everyMs?: number }) {
  const { appDb, log, everyMs = PROBE_MS } = deps
  const of = (table: keyof typeof PROBES) =>
    createBlockage({
      everyMs,
      probe: () =>
        appDb.transaction(async (tx) => {
          await tx.$executeRaw`SELECT set_config('lock_timeout', ${String(SHORT_LOCK_MS)}, true)`
          await PROBES[table](tx)
        }),
      onChange: (isBlocked) =>
        isBlocked
          ? log.error({ table }, 'the audit trail takes no records')
          : log.info({ table }, 'the audit trail takes records again'),
    })
  return { trail: of('trail'), outbox: of('outbox') }
}
