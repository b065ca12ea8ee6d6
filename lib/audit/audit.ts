/**
 * The audit trail as the rest of the product sees it.
 *
 * A call acts only after its intent is committed, and the same statement says whether it may go on. An event commits
 * with what it describes. What ends or narrows access is never refused for want of a record: it goes to an outbox in the
 * same transaction, else to a spool on disk, and is moved into the trail later, exactly once. A trail that somebody holds
 * costs the first of them a short wait and the others none.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb, AppTx } from '../db/app-db'
import type { VaultDb } from '../db/vault-db'
import { isConflict } from '../db/retry'
import { AppError } from '../errors'
import type { TenantId } from '../ids'
import type { Log } from '../log'
import { createTrailBlockages, SHORT_LOCK_MS, type Blockage } from './blockage'
import { createDrain, insertEvent, type DrainReport } from './drain'
import { createIntents, unavailable } from './intents'
import { createOutcomes } from './outcomes'
import { createPseudonyms } from './pseudonym'
import { reconcileCalls } from './reconcile'
import {
  hasFreeFields,
  toEventRecord,
  toIntentRecord,
  type AuditEvent,
  type CallIntent,
  type CallOutcome,
  type EventRecord,
  type IntentAnswer,
} from './record'
import { createAuditSeals, type AuditKeys, type AuditSeals } from './seal'
import { createSpool } from './spool'
import { createAuditWriter, WRITER_LIMITS, type WriterLimits } from './writer'

export interface Audit {
  /**
   * Commits the intent of a call and says whether it may go on. Only `permit` may.
   *
   * On `stale` nothing was recorded: load the profile again, decide once more, and ask again with `isFinal`.
   *
   * @throws AppError `audit.unavailable` within five seconds when the intent cannot be written; the call must not be made
   */
  intent(call: CallIntent): Promise<IntentAnswer>
  /** Records how a permitted call ended. Returns at once and never throws; the first outcome of a call counts. */
  outcome(outcome: CallOutcome): void
  /** Records in the caller's tenant transaction. Throws when it cannot, and so undoes what it describes. */
  event(tx: AppTx, event: AuditEvent): Promise<void>
  /**
   * Records what may not be refused. Never throws. In the caller's tenant transaction when there is one, else on disk.
   * When the caller's transaction cannot take the record it goes to disk and the transaction stays usable.
   */
  never(tx: AppTx | null, event: AuditEvent): Promise<void>
  /** A record ready for the outbox of the vault database: insert `{tenantId, id, record}` in the transaction of the change. */
  prepare(event: AuditEvent): Promise<EventRecord>
  /** Moves outbox rows and spooled files into the trail. Run by the worker. */
  drain(): Promise<DrainReport>
  /** Writes `unknown` for calls whose process died. Run by the worker. */
  reconcile(options: {
    readonly olderThanMs: number
    readonly windowMs: number
    readonly limit: number
  }): Promise<number>
  /** Resolves when every outcome given so far is in the database or on disk. */
  settled(): Promise<void>
  /** Answers what is under way, stores what is pending, closes connections. */
  close(): Promise<void>
  readonly seals: AuditSeals
  /** Whether the trail is known to take no records. Whoever must not wait for it asks first, and says when it waited. */
  readonly trail: Blockage
}

export interface AuditDeps {
  /** The application role's URL of the application database. */
  readonly databaseUrl: string
  readonly appDb: AppDb
  /** For the drain of the vault's own outbox. */
  readonly vaultDb?: VaultDb
  readonly keys: AuditKeys
  readonly clock: Clock
  readonly log: Log
  /** `<dataDir>/spool/audit` */
  readonly spoolDir: string
  readonly maxSpoolBytes?: number
  readonly limits?: Partial<WriterLimits>
  /** How often a trail that took no records is tried. */
  readonly probeMs?: number
  readonly onAlarm?: (reason: 'spool_full' | 'spool_unwritable') => void
}

const MAX_SPOOL_BYTES = 64 * 1024 * 1024
const RECOVERY_MS = 5_000
/** From the question to an answer or a refusal, whatever key store and database do. */
const ANSWER_MS = 4_500
/** Who widens access waits so long for a trail that somebody has locked, then is refused. */
const EVENT_LOCK_MS = 2_500

export function createAudit(deps: AuditDeps): Audit {
  const { appDb, clock, log } = deps
  const seals = createAuditSeals(deps.keys)
  const pseudonyms = createPseudonyms(appDb)
  const writer = createAuditWriter(deps.databaseUrl, log, { ...WRITER_LIMITS, ...deps.limits })
  const spool = createSpool({
    folder: deps.spoolDir,
    maxBytes: deps.maxSpoolBytes ?? MAX_SPOOL_BYTES,
    log,
    onAlarm: deps.onAlarm ?? (() => undefined),
  })

  const { trail, outbox } = createTrailBlockages({
    appDb,
    log,
    ...(deps.probeMs === undefined ? {} : { everyMs: deps.probeMs }),
  })

  // The disk of a gateway may be its own, where no worker can see it: whoever spooled also drains when the database is back.
  let recovery: NodeJS.Timeout | undefined
  let isClosed = false
  const recoverLater = () => {
    if (isClosed || recovery !== undefined) return
    recovery = setTimeout(() => {
      drain.drainSpool().then(
        (files) => {
          recovery = undefined
          if (files > 0) log.info({ files }, 'the audit spool was drained')
        },
        () => {
          recovery = undefined
          recoverLater()
        },
      )
    }, RECOVERY_MS)
    recovery.unref()
  }

  const outcomes = createOutcomes({ writer, seals, spool, clock, log, onSpooled: recoverLater })
  const drain = createDrain({ appDb, vaultDb: deps.vaultDb, pseudonyms, seals, outcomes, spool, clock, log })
  const intents = createIntents({
    writer,
    log,
    onLate: (record) =>
      outcomes.add({
        tenantId: record.tenant_id as TenantId, // was one when the record was made
        callId: record.call_id as CallIntent['callId'], // was one when the record was made
        outcome: 'cancelled',
        reason: 'recorded_too_late',
        durationMs: 0,
      }),
  })
  recoverLater() // what an earlier life of this process left on disk

  const prepareIntent = async (call: CallIntent) => {
    const [seal, pseudonym] = await Promise.all([
      seals.current(call.tenantId),
      call.personId === null ? null : pseudonyms.of(call.tenantId, { kind: 'person', id: call.personId }),
    ])
    return toIntentRecord(call, seal, pseudonym, clock)
  }

  /** Without its key a record keeps every field but the sealed ones. */
  const prepare = async (event: AuditEvent): Promise<EventRecord> => {
    const seal = hasFreeFields(event)
      ? await seals.current(event.tenantId).catch((error: unknown) => {
          log.error({ err: error, tenantId: event.tenantId, action: event.action }, 'an audit record lost its details')
          return null
        })
      : null
    return toEventRecord(event, seal, clock)
  }

  const toSpool = async (record: EventRecord) => {
    const isKept = await spool.append({ kind: 'event', record })
    if (!isKept)
      log.fatal({ tenantId: record.tenantId, action: record.action, recordId: record.id }, 'an audit record is lost')
    recoverLater()
  }

  return {
    seals,
    trail,
    intent: async (call) => {
      const start = performance.now()
      const record = await withDeadline(prepareIntent(call), ANSWER_MS)
      return intents.submit(record, ANSWER_MS - (performance.now() - start))
    },
    outcome: (outcome) => {
      outcomes.add(outcome)
    },
    event: async (tx, event) => {
      try {
        const seal = hasFreeFields(event) ? await seals.current(event.tenantId) : null
        // Whoever waits holds a connection that somebody who ends access may need.
        const before = await setLockTimeout(tx, trail.isBlocked ? SHORT_LOCK_MS : EVENT_LOCK_MS)
        await insertEvent(tx, pseudonyms, toEventRecord(event, seal, clock), event.tenantId)
        await setLockTimeout(tx, before)
      } catch (error) {
        // A conflict is tried again by whoever holds the transaction; anything else is said as what it is.
        if (error instanceof AppError || isConflict(error)) throw error
        trail.report()
        throw unavailable(error)
      }
    },
    prepare,
    never: async (tx, event) => {
      const record = await prepare(event)
      if (tx !== null && !outbox.isBlocked) {
        if (await insertOutbox(tx, record, log)) return
        outbox.report()
      }
      await toSpool(record)
    },
    drain: () => drain.drainAll(),
    reconcile: (options) => reconcileCalls({ appDb, outcomes, clock, log }, options),
    settled: () => outcomes.settled(),
    close: async () => {
      await intents.close()
      await outcomes.settled()
      isClosed = true
      clearTimeout(recovery)
      trail.close()
      outbox.close()
      await writer.close()
    },
  }
}

/** Refuses as `audit.unavailable`: a key store or database that hangs must not hold a call. */
async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(unavailable())
        }, ms)
      }),
    ])
  } catch (error) {
    if (error instanceof TypeError)
      throw new AppError('request.invalid', 'The arguments are not JSON.', { cause: error })
    throw error instanceof AppError && error.code === 'audit.unavailable' ? error : unavailable(error)
  } finally {
    clearTimeout(timer)
  }
}

/** For what follows in this transaction. @returns what it was before */
async function setLockTimeout(tx: AppTx, to: string | number): Promise<string> {
  const [row] = await tx.$queryRaw<{ before: string }[]>`
    SELECT current_setting('lock_timeout') AS before, set_config('lock_timeout', ${String(to)}, true) AS after`
  return row?.before ?? '0'
}

/** @returns false when the outbox did not take the record; the transaction is then as it was before */
async function insertOutbox(tx: AppTx, record: EventRecord, log: Log): Promise<boolean> {
  try {
    await tx.$executeRaw`SAVEPOINT audit_outbox_row`
    try {
      // A table locked by somebody must not hold up a revocation.
      const [before] = await tx.$queryRaw<{ lock_timeout: string }[]>`
        SELECT current_setting('lock_timeout') AS lock_timeout, set_config('lock_timeout', ${String(SHORT_LOCK_MS)}, true)`
      await tx.$executeRaw`
        INSERT INTO audit_outbox (tenant_id, id, record) VALUES (${record.tenantId}, ${record.id}, ${JSON.stringify(record)}::jsonb)`
      await tx.$executeRaw`SELECT set_config('lock_timeout', ${before?.lock_timeout ?? '0'}, true)`
      await tx.$executeRaw`RELEASE SAVEPOINT audit_outbox_row`
      return true
    } catch (error) {
      log.warn({ err: error, action: record.action }, 'the audit outbox did not take a record; it goes to the spool')
      await tx.$executeRaw`ROLLBACK TO SAVEPOINT audit_outbox_row`
      return false
    }
  } catch (error) {
    log.warn({ err: error, action: record.action }, 'the transaction is lost; its audit record goes to the spool')
    return false
  }
}
