/**
 * What every rotation has in common: one at a time for the whole installation, a row that says what is under way, and steps
 * that a process killed between any two of them leaves to the next one.
 *
 * @module
 */
import type { EventAction } from '../../audit/actions'
import { toEventRecord } from '../../audit/record'
import type { Clock } from '../../clock'
import { holdLock } from '../../db/advisory-lock'
import type { AppDb } from '../../db/app-db'
import type { VaultDb, VaultTx } from '../../db/vault-db'
import { AppError } from '../../errors'
import { newId, type TenantId } from '../../ids'
import type { Log } from '../../log'
import type { Kek } from '../kek/kek'
import { INSTALLATION } from '../key-store'
import type { OpenTenantKeys } from '../tenant-keys'

export interface RotationDeps {
  readonly vaultDb: VaultDb
  readonly vaultUrl: string
  readonly appDb: AppDb
  readonly kek: Kek
  readonly keys: OpenTenantKeys
  readonly keyStoreDir: string
  /** Folders of this machine in which answers of providers wait. */
  readonly spoolDirs: readonly string[]
  readonly clock: Clock
  readonly log: Log
  /** How long other processes may act on what they read before. For tests. */
  readonly settleMs?: number
}

/** One thing done. */
export interface Progress {
  readonly what: string
  readonly done: number
  /** What was to be done when it was counted last; more may have come. */
  readonly total: number
}

/** A rotation reports each thing it did, and what came of all of it. */
export type Rotation<R> = AsyncGenerator<Progress, R>

const LOCK = 'portcullis key rotation'

/** @throws AppError `resource.conflict` when another rotation is under way */
export async function* exclusively<R>(deps: RotationDeps, work: (check: () => void) => Rotation<R>): Rotation<R> {
  const lock = await holdLock(deps.vaultUrl, 'portcullis_vault', LOCK)
  if (lock === undefined)
    throw new AppError(
      'resource.conflict',
      'Another key rotation is under way. It goes on by itself; ask for its status.',
    )
  try {
    return yield* work(() => {
      if (!lock.isHeld())
        throw new AppError('service.unavailable', 'The database was lost. Run the same command again: it goes on.')
    })
  } finally {
    await lock.release()
  }
}

export interface RunningRotation {
  readonly scope: string
  readonly target: string
  readonly position: string
  readonly done: number
}

/** The rotation of this scope that nobody finished. */
export async function findUnfinished(vaultDb: VaultDb, scope: string): Promise<RunningRotation | undefined> {
  return (await vaultDb.global.keyRotation.findFirst({ where: { scope, finishedAt: null } })) ?? undefined
}

export async function begin(vaultDb: VaultDb, scope: string, target: string): Promise<RunningRotation> {
  await vaultDb.global.$executeRaw`
    INSERT INTO key_rotation (scope, target) VALUES (${scope}, ${target})
    ON CONFLICT (scope) DO UPDATE SET target = excluded.target, position = '', done = 0, started_at = now(), finished_at = NULL`
  return { scope, target, position: '', done: 0 }
}

export async function finish(vaultDb: VaultDb, scope: string, done: number): Promise<void> {
  await vaultDb.global.$executeRaw`UPDATE key_rotation SET done = ${done}, finished_at = now() WHERE scope = ${scope}`
}

/** The place behind which a lost process's work goes on, committed with the work itself. */
export async function advance(tx: VaultTx, scope: string, position: string): Promise<void> {
  await tx.$executeRaw`UPDATE key_rotation SET position = ${position}, done = done + 1 WHERE scope = ${scope}`
}

/**
 * A record that is never refused. At least once: a process may die between this and what it announces. Keys that belong to
 * no workspace have nobody to tell: a record of theirs would begin the trail of a workspace that is none.
 */
export async function recordKeyEvent(
  deps: Pick<RotationDeps, 'vaultDb' | 'clock'>,
  tenantId: TenantId,
  action: EventAction,
  reason: string,
  targetId: string,
): Promise<void> {
  if (tenantId === INSTALLATION) return
  const actor = { kind: 'system' } as const
  const record = toEventRecord({ tenantId, action, actor, reason, targetId }, null, deps.clock)
  await deps.vaultDb.tenant(tenantId, (tx) =>
    tx.auditOutbox.create({ data: { tenantId, id: newId('outbox', deps.clock.now()), record } }),
  )
}
