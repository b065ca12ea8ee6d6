/**
 * What all processes know together about each registered app at a provider: whether requests may go, and how fast.
 *
 * The vault database holds it. A circuit is changed by compare-and-set on its version, in database time; an open one is
 * tried by one caller at a time. Turns at the token endpoint are handed out by one row as well, so that gateways and
 * workers keep to the provider's rate together; how many are under way at once is each process's own bound. Whoever
 * waits holds no connection. What people see of it is a copy in the application database.
 *
 * @module
 */
import type { Clock } from '../clock'
import { toEventRecord } from '../audit/record'
import type { AppDb } from '../db/app-db'
import type { VaultDb } from '../db/vault-db'
import { brand, newId, type ConnectionId, type TenantId } from '../ids'
import type { Log } from '../log'
import { SYSTEM } from '../vault/outbox'
import {
  ALARMING,
  INCIDENT_CONNECTIONS,
  INCIDENT_MINUTES,
  INCIDENT_SHARE,
  QUIET,
  step,
  type Cause,
  type Change,
  type Circuit,
  type CircuitEvent,
} from './circuit'
import { createPace, limitsOf, type ProviderLimits, type Turn } from './pace'

export type AttemptOutcome = 'issued' | 'permanent' | 'rejected' | 'weather' | 'app_fault' | 'unknown'

export type Gate =
  { readonly open: true } | { readonly open: false; readonly reason: string; readonly retryAfterMs: number }

export interface AttemptReport {
  readonly provider: string
  readonly appKey: string
  readonly tenantId: TenantId
  readonly connectionId: ConnectionId
  readonly outcome: AttemptOutcome
  readonly code: string
  readonly retryAfterSeconds?: number | undefined
}

export interface ProviderAppStatus {
  readonly provider: string
  readonly appKey: string
  readonly state: Circuit['state']
  readonly cause: Cause | null
  readonly code: string | null
  readonly since: Date | null
  readonly openUntil: Date | null
  readonly isAlarming: boolean
}

export interface ProviderApps {
  /**
   * Before a lease is claimed: whether a request to this app's provider may be sent now. When a pause is over, the first
   * caller is let through to see and the others wait for what it reports.
   */
  gate(provider: string, appKey: string): Promise<Gate>
  /** As `gate`, without going to see: `probing` when only one may go. */
  look(provider: string, appKey: string): Promise<Gate | { readonly open: 'probing' }>
  /**
   * After the provider answered, before a verdict is written. Never throws, and never waits for the database when tokens
   * were issued. `incident`: the answer belongs to trouble of the whole app, so no connection changes for it.
   */
  report(report: AttemptReport): Promise<{ readonly incident: boolean }>
  /** Resolves when it is this request's turn at the token endpoint. Rejects only when `signal` aborts first. */
  turn(provider: string, appKey: string, signal: AbortSignal): Promise<Turn>
  limits(provider: string): ProviderLimits
  /** Every app that ever had trouble. */
  list(): Promise<ProviderAppStatus[]>
  /** Puts right what people are shown, and forgets old rejections. For a schedule. */
  tidy(): Promise<void>
  /** Resolves when what goes on in the background is done. */
  settled(): Promise<void>
}

export interface ProviderAppsDeps {
  readonly vaultDb: VaultDb
  readonly appDb: AppDb
  readonly clock: Clock
  readonly log: Log
  readonly limits?: Readonly<Record<string, Partial<ProviderLimits>>>
  readonly monotonicMs?: () => number
  readonly random?: () => number
}

/** A process may be this far behind the others: so long it may still send into a circuit that has just opened. */
const FRESH_MS = 500
/** How long the one that went to see keeps the others waiting. */
const PROBE_MS = 15_000
const TRIES = 8

interface CircuitWire {
  readonly provider: string
  readonly app_key: string
  readonly state: Circuit['state']
  readonly cause: Cause | null
  readonly code: string | null
  readonly opens: number
  readonly left_ms: number | null
  readonly closed_for_ms: number | null
  readonly run: string[]
  readonly run_age_ms: number | null
  readonly opener: string | null
  readonly lone: string[]
  readonly tenants: string[]
  readonly version: bigint
  readonly since: Date | null
  readonly open_until: Date | null
}

interface Known {
  readonly circuit: Circuit
  readonly version: bigint
  readonly readAt: number
}

export function createProviderApps(deps: ProviderAppsDeps): ProviderApps {
  const { vaultDb, appDb, clock, log } = deps
  const { monotonicMs = () => performance.now(), random = Math.random } = deps
  const known = new Map<string, Known>()
  const loading = new Map<string, Promise<Known>>()
  const background = new Set<Promise<void>>()
  const limits = (provider: string) => limitsOf(provider, deps.limits?.[provider])
  const pace = createPace({ reserve, limits, monotonicMs })

  return {
    async gate(provider, appKey) {
      const { circuit, readAt } = await recent(provider, appKey)
      if (circuit.state === 'closed') return { open: true }
      const leftMs = circuit.leftMs - (monotonicMs() - readAt)
      if (leftMs > 0) return shut(circuit, leftMs)
      const taken = await vaultDb.global.$executeRaw`
        UPDATE provider_app SET state = 'half_open', open_until = clock_timestamp() + ${PROBE_MS} * interval '1 millisecond', version = version + 1
         WHERE provider = ${provider} AND app_key = ${appKey} AND state <> 'closed' AND open_until <= clock_timestamp()`
      const now = await load(provider, appKey)
      if (taken === 1 || now.circuit.state === 'closed') return { open: true }
      return shut(now.circuit, Math.max(now.circuit.leftMs, 1_000))
    },

    async look(provider, appKey) {
      const { circuit, readAt } = await recent(provider, appKey)
      if (circuit.state === 'closed') return { open: true }
      const leftMs = circuit.leftMs - (monotonicMs() - readAt)
      return leftMs > 0 ? shut(circuit, leftMs) : { open: 'probing' }
    },

    async report(report) {
      if (report.outcome === 'issued') {
        inBackground(() => tell(report, { ...whoOf(report), kind: 'issued' }))
        return { incident: false }
      }
      try {
        if (report.outcome !== 'rejected') {
          await tell(report, eventOf(report))
          return { incident: false }
        }
        const isIncident = await countRejection(report)
        await tell(report, {
          ...whoOf(report),
          ...(isIncident ? { kind: 'incident', code: report.code } : { kind: 'answered' }),
        })
        const { circuit } = await recent(report.provider, report.appKey)
        return { incident: isIncident || (circuit.state !== 'closed' && circuit.cause === 'incident') }
      } catch (error) {
        log.error(
          { err: error, provider: report.provider },
          'What a provider answered could not be shared with the other processes.',
        )
        // When nobody can say whose trouble it is, it is not the connection's.
        return { incident: report.outcome === 'rejected' }
      }
    },

    turn: (provider, appKey, signal) => pace.turn(provider, appKey, signal),
    limits,

    async list() {
      const rows = await vaultDb.global.$queryRaw<CircuitWire[]>`
        SELECT provider, app_key, state, cause, code, since, open_until FROM provider_app WHERE cause IS NOT NULL ORDER BY provider, app_key`
      return rows.map(({ provider, app_key, state, cause, code, since, open_until }) => ({
        provider,
        appKey: app_key,
        state,
        cause,
        code,
        since,
        openUntil: open_until,
        isAlarming: state !== 'closed' && cause !== null && ALARMING.has(cause),
      }))
    },

    async tidy() {
      await vaultDb.global.$executeRaw`
        DELETE FROM provider_app_rejection WHERE at < clock_timestamp() - ${INCIDENT_MINUTES} * 2 * interval '1 minute'`
      const apps = await vaultDb.global.$queryRaw<{ provider: string; app_key: string }[]>`
        SELECT provider, app_key FROM provider_app WHERE cause IS NOT NULL`
      for (const { provider, app_key } of apps) await show(provider, app_key)
    },

    async settled() {
      while (background.size > 0) await Promise.all(background)
    },
  }

  // ------------------------------------------------------------------------------------------------ what is known

  async function recent(provider: string, appKey: string): Promise<Known> {
    const found = known.get(nameOf(provider, appKey))
    if (found !== undefined && monotonicMs() - found.readAt < FRESH_MS) return found
    return load(provider, appKey)
  }

  /** What is in the database, asked once however many want to know at this moment. */
  function load(provider: string, appKey: string): Promise<Known> {
    const name = nameOf(provider, appKey)
    const underWay = loading.get(name)
    if (underWay !== undefined) return underWay
    const started = read(provider, appKey).finally(() => loading.delete(name))
    loading.set(name, started)
    return started
  }

  async function read(provider: string, appKey: string): Promise<Known> {
    const [row] = await vaultDb.global.$queryRaw<CircuitWire[]>`
      SELECT state, cause, code, opens, run, opener, lone, tenants, version,
        extract(epoch FROM open_until - clock_timestamp())::float8 * 1000 AS left_ms,
        extract(epoch FROM clock_timestamp() - closed_at)::float8 * 1000 AS closed_for_ms,
        extract(epoch FROM clock_timestamp() - run_at)::float8 * 1000 AS run_age_ms
      FROM provider_app WHERE provider = ${provider} AND app_key = ${appKey}`
    const found = {
      circuit: row === undefined ? QUIET : parse(row),
      version: row?.version ?? -1n,
      readAt: monotonicMs(),
    }
    known.set(nameOf(provider, appKey), found)
    return found
  }

  // ------------------------------------------------------------------------------------------------------- changes

  async function tell({ provider, appKey }: AttemptReport, event: CircuitEvent): Promise<void> {
    const before = await recent(provider, appKey)
    // What is remembered of trouble may be over already, or have become another.
    if (before.circuit.state === 'closed' && step(aged(before), event, random) === undefined) return
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const now = await read(provider, appKey)
      const change = step(now.circuit, event, random)
      if (change === undefined) return
      if (!(await write(provider, appKey, now.version, change))) continue
      await read(provider, appKey)
      announce(provider, appKey, now.circuit, change)
      return
    }
    log.warn({ provider }, 'A circuit is changing too often; one report was left out.')
  }

  function aged({ circuit, readAt }: Known): Circuit {
    return { ...circuit, leftMs: circuit.leftMs - (monotonicMs() - readAt) }
  }

  async function write(provider: string, appKey: string, version: bigint, { next, ...how }: Change): Promise<boolean> {
    if (version < 0n)
      await vaultDb.global.$executeRaw`
        INSERT INTO provider_app (provider, app_key) VALUES (${provider}, ${appKey}) ON CONFLICT DO NOTHING`
    const openForMs = how.openForMs ?? null
    const count = await vaultDb.global.$executeRaw`
      UPDATE provider_app SET state = ${next.state}, cause = ${next.cause}, code = ${next.code === null ? null : wordOf(next.code)},
          opens = ${next.opens}::integer, run = ${[...next.run]}::text[], opener = ${next.opener}, lone = ${[...next.lone]}::text[],
          tenants = ${[...next.tenants]}::text[], version = version + 1,
          run_at = CASE WHEN ${how.startsRun} THEN clock_timestamp() ELSE run_at END,
          since = CASE WHEN ${how.startsEpisode} THEN clock_timestamp() ELSE since END,
          closed_at = CASE WHEN ${how.closes} THEN clock_timestamp() ELSE closed_at END,
          open_until = CASE WHEN ${openForMs}::float8 IS NULL THEN open_until
                            ELSE clock_timestamp() + ${openForMs}::float8 * interval '1 millisecond' END
       WHERE provider = ${provider} AND app_key = ${appKey} AND version = ${version < 0n ? 0n : version}`
    return count === 1
  }

  /** Once for each episode, by the process whose change it was. */
  function announce(provider: string, appKey: string, before: Circuit, { next, ...how }: Change): void {
    const facts = { provider, appKey, cause: next.cause ?? '', code: next.code ?? '' }
    const isAlarming = next.cause !== null && ALARMING.has(next.cause)
    if (how.startsEpisode && isAlarming)
      log.error(
        facts,
        'ALARM: a provider refuses this app. Nothing is sent until it is well again; no connection was changed.',
      )
    else if (how.startsEpisode) log.warn(facts, 'A provider is unwell. Refreshes through this app pause.')
    if (how.closes) log.info(facts, 'A provider app is well again.')
    if (next.state !== before.state || next.cause !== before.cause) inBackground(() => show(provider, appKey))
    if (!isAlarming) return
    const isOpening = next.state !== 'closed'
    const joined = next.tenants.filter((tenantId) => how.startsEpisode || !before.tenants.includes(tenantId))
    for (const tenantId of isOpening ? joined : how.closes ? next.tenants : [])
      inBackground(() =>
        record(brand<'tenant'>(tenantId), isOpening, `${provider}:${next.cause ?? ''}:${next.code ?? ''}`),
      )
  }

  async function record(tenantId: TenantId, isOpening: boolean, reason: string): Promise<void> {
    const action = isOpening ? 'provider_app.paused' : 'provider_app.resumed'
    const facts = { tenantId, action, actor: SYSTEM, reason: wordOf(reason) } as const
    await vaultDb.tenant(tenantId, (tx) =>
      tx.auditOutbox.create({
        data: { tenantId, id: newId('outbox', clock.now()), record: toEventRecord(facts, null, clock) },
      }),
    )
  }

  /** Copies the circuit to where people see it. */
  async function show(provider: string, appKey: string): Promise<void> {
    const [row] = await vaultDb.global.$queryRaw<CircuitWire[]>`
      SELECT state, cause, code, since, open_until, version FROM provider_app WHERE provider = ${provider} AND app_key = ${appKey}`
    if (row === undefined) return
    const state = row.state === 'closed' ? 'closed' : 'open'
    await appDb.global.$executeRaw`
      INSERT INTO provider_app_status (provider, app_key, state, cause, code, since, open_until, version)
      VALUES (${provider}, ${appKey}, ${state}, ${row.cause}, ${row.code}, ${row.since}, ${row.open_until}, ${row.version})
      ON CONFLICT (provider, app_key) DO UPDATE SET state = excluded.state, cause = excluded.cause, code = excluded.code,
          since = excluded.since, open_until = excluded.open_until, version = excluded.version
       WHERE provider_app_status.version < excluded.version`
  }

  // ----------------------------------------------------------------------------------------------------- incidents

  /** Counted where it happens, before anything is concluded from it, so that those refused at this moment count too. */
  async function countRejection({ provider, appKey, connectionId }: AttemptReport): Promise<boolean> {
    await vaultDb.global.$executeRaw`
      INSERT INTO provider_app_rejection (provider, app_key, connection_id) VALUES (${provider}, ${appKey}, ${connectionId})
      ON CONFLICT (provider, app_key, connection_id) DO UPDATE SET at = clock_timestamp()`
    const [counted] = await vaultDb.global.$queryRaw<{ rejected: number; active: number }[]>`
      SELECT rejected, active FROM app_rejections(${provider}, ${appKey}, ${INCIDENT_MINUTES}::integer, ${INCIDENT_SHARE}::integer)`
    if (counted === undefined) return false
    return counted.rejected >= INCIDENT_CONNECTIONS && counted.rejected * INCIDENT_SHARE >= counted.active
  }

  // ---------------------------------------------------------------------------------------------------------- turns

  /** @returns when the first of `count` turns is, in milliseconds from now; the others follow at `everyMs` */
  async function reserve(provider: string, appKey: string, count: number, everyMs: number): Promise<number> {
    const spanMs = count * everyMs
    const [row] = await vaultDb.global.$queryRaw<{ end_ms: number }[]>`
      INSERT INTO provider_app AS a (provider, app_key, paced_until)
      VALUES (${provider}, ${appKey}, clock_timestamp() + ${spanMs}::float8 * interval '1 millisecond')
      ON CONFLICT (provider, app_key) DO UPDATE
        SET paced_until = GREATEST(a.paced_until, clock_timestamp()) + ${spanMs}::float8 * interval '1 millisecond'
      RETURNING extract(epoch FROM paced_until - clock_timestamp())::float8 * 1000 AS end_ms`
    return (row?.end_ms ?? spanMs) - spanMs
  }

  function inBackground(work: () => Promise<void>): void {
    const task = work()
      .catch((error: unknown) => log.warn({ err: error }, 'The state of a provider app could not be shared yet.'))
      .finally(() => background.delete(task))
    background.add(task)
  }
}

function parse(row: CircuitWire): Circuit {
  const { state, cause, code, opens, run, opener, lone, tenants } = row
  return {
    ...{ state, cause, code, opens, run, opener, lone, tenants },
    leftMs: row.left_ms ?? 0,
    closedForMs: row.closed_for_ms,
    runAgeMs: row.run_age_ms ?? 0,
  }
}

const whoOf = ({ tenantId, connectionId }: AttemptReport) => ({ tenantId, connectionId })

function eventOf(report: AttemptReport): CircuitEvent {
  const { outcome, code, retryAfterSeconds } = report
  const retryAfterMs = retryAfterSeconds === undefined ? undefined : retryAfterSeconds * 1_000
  switch (outcome) {
    case 'issued':
      return { ...whoOf(report), kind: 'issued' }
    case 'permanent':
    case 'rejected':
      return { ...whoOf(report), kind: 'answered' }
    case 'app_fault':
      return { ...whoOf(report), kind: 'app_fault', code }
    case 'weather':
    case 'unknown':
      if (code === 'rate_limited' && retryAfterMs !== undefined)
        return { ...whoOf(report), kind: 'rate_limited', code, retryAfterMs }
      return { ...whoOf(report), kind: 'weather', code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  }
}

const shut = (circuit: Circuit, leftMs: number): Gate => ({
  open: false,
  reason: circuit.cause ?? 'weather',
  retryAfterMs: Math.ceil(leftMs),
})

const nameOf = (provider: string, appKey: string) => `${provider}/${appKey}`

/** As codes are written in the trail. */
const wordOf = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9_.:-]/g, '_')
    .slice(0, 64)
