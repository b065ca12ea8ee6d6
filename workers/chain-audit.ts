/**
 * Continues the audit chains every few seconds, and tells the places outside how far they have come. Now and then it looks
 * far back, for what was committed later than anything of ours may be.
 *
 * @module
 */
import type { Checkpoints } from '@/lib/audit/chain/checkpoints'
import type { Sequencer } from '@/lib/audit/chain/sequencer'
import type { Clock } from '@/lib/clock'
import type { Log } from '@/lib/log'

const DEEP_MS = 3_600_000
/** From here on the trail is readable and not yet protected for long enough that somebody should know. */
const LAG_ALARM_SECONDS = 120

export function createChainAudit(deps: {
  readonly chain: () => Promise<{
    readonly sequencer: Pick<Sequencer, 'run'>
    readonly checkpoints: Pick<Checkpoints, 'run'>
  }>
  readonly clock: Clock
  readonly log: Log
}) {
  const { clock, log } = deps
  let lookedFarAt: number | undefined
  return async (): Promise<void> => {
    const { sequencer, checkpoints } = await deps.chain()
    const now = clock.now().getTime()
    const isDeep = lookedFarAt === undefined || Math.abs(now - lookedFarAt) >= DEEP_MS
    const report = await sequencer.run({ isDeep })
    if (isDeep) lookedFarAt = now
    if (report.lagSeconds > LAG_ALARM_SECONDS || report.isBehind)
      log.warn({ ...report }, 'the audit chain lags behind the records')
    else if (report.records > 0) log.debug({ ...report }, 'audit records were linked')
    await checkpoints.run()
  }
}
