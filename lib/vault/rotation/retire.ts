/**
 * The end of a key. Refused while anything needs it; then it is destroyed, and with it whatever an old backup still holds
 * under it.
 *
 * @module
 */
import { AppError } from '../../errors'
import type { TenantId } from '../../ids'
import { kekIdOf } from '../kek/kek'
import type { KeyPurpose } from '../key-store'
import { raiseFence } from './fence'
import { codeOf } from './kek'
import { referencesTo } from './references'
import { exclusively, findUnfinished, recordKeyEvent, type Rotation, type RotationDeps } from './run'
import { rotateTenantKey } from './tenant'

export interface KekRetired {
  readonly kekId: string
  /** `left_to_its_service`: nothing here needs it any more; disable or delete it where it lives. */
  readonly result: 'destroyed' | 'left_to_its_service'
}

/** @throws AppError `resource.conflict` while it is in use; `resource.not_found` */
export function retireKek(deps: RotationDeps, kekId: string): Rotation<KekRetired> {
  return exclusively(deps, async function* (check) {
    const { vaultDb, kek, keys } = deps
    const ids = [...(await kek.ids()), ...(await vaultDb.global.keyCanary.findMany()).map((row) => row.kekId)]
    if (!ids.includes(kekId)) throw new AppError('resource.not_found', 'There is no such key-encryption key.')
    if (kekId === (await kek.activeId()))
      throw new AppError('resource.conflict', 'This is the active key. Rotate first: portcullis keys rotate kek')
    if ((await findUnfinished(vaultDb, 'kek')) !== undefined)
      throw new AppError('resource.conflict', 'A rotation is unfinished. Finish it first: portcullis keys rotate kek')
    const concerned = new Set<TenantId>()
    let needing = 0
    let seen = 0
    for await (const place of keys.store.list()) {
      const wrapped = await keys.store.read(place)
      seen += 1
      concerned.add(place.tenantId)
      if (wrapped !== undefined && kekIdOf(wrapped) === kekId) needing += 1
      if (seen % 500 === 0) yield { what: 'tenant keys looked at', done: seen, total: seen }
    }
    if (needing > 0)
      throw new AppError(
        'resource.conflict',
        `${needing} tenant keys are wrapped under it. Rotate first: portcullis keys rotate kek`,
      )
    for (const tenantId of concerned) {
      check()
      await recordKeyEvent(deps, tenantId, 'keys.retired', codeOf(kekId), kekId)
    }
    check()
    // The canary first: one of a key that is gone would keep every process from starting.
    await vaultDb.global.$executeRaw`DELETE FROM key_canary WHERE kek_id = ${kekId}`
    return { kekId, result: await kek.retire(kekId) }
  })
}

export interface TenantKeyRetired {
  readonly tenantId: TenantId
  readonly purpose: KeyPurpose
  readonly version: number
}

/** Other processes act for at most this long on a row that they read before. */
const SETTLE_MS = 5_000
/** Spools of other machines are not seen from here, and what is spooled lives for seconds. */
const SUPERSEDED_MS = 3_600_000
const LEASE_WAIT_MS = 120_000
const POLL_MS = 250

/** @throws AppError `resource.conflict` while anything needs it, with what and how much; `resource.not_found` */
export function retireTenantKey(
  deps: RotationDeps,
  tenantId: TenantId,
  purpose: KeyPurpose,
  version: number,
): Rotation<TenantKeyRetired> {
  return exclusively(deps, async function* (check) {
    const { keys, clock, settleMs = SETTLE_MS } = deps
    const place = { tenantId, purpose, version }
    const { usable, destroyed, newest } = await keys.store.versions(tenantId, purpose)
    if (!usable.includes(version) && !destroyed.includes(version))
      throw new AppError('resource.not_found', 'There is no such key version.')
    if (version === newest)
      throw new AppError('resource.conflict', 'This is the newest version. Rotate first: portcullis keys rotate tenant')
    if (usable.includes(version)) {
      await refuseWhileNeeded(deps, place)
      if (purpose === 'vault') {
        await raiseFence(deps, tenantId, version + 1)
        // Refreshes under way hold what they read when they began, until they end.
        for (let waitedMs = 0; ; waitedMs += POLL_MS) {
          const refreshing = await refreshesUnderWay(deps, tenantId)
          if (refreshing === 0) break
          if (waitedMs >= LEASE_WAIT_MS)
            throw new AppError('resource.conflict', 'Refreshes of this workspace are under way. Try again later.')
          yield { what: 'refreshes waited for', done: 0, total: refreshing }
          await pause(POLL_MS)
        }
      } else if (newest !== undefined) {
        const since = await keys.store.changedAt({ tenantId, purpose, version: newest })
        if (since === undefined || clock.now().getTime() - since.getTime() < SUPERSEDED_MS)
          throw new AppError(
            'resource.conflict',
            'Its successor is less than an hour old: another machine may still use this version.',
          )
      }
      await pause(settleMs)
      check()
      await refuseWhileNeeded(deps, place)
    }
    await recordKeyEvent(deps, tenantId, 'keys.retired', `${purpose}:${version}`, purpose)
    await keys.destroy(tenantId, purpose, version)
    yield { what: 'key versions', done: 1, total: 1 }
    return place
  })
}

/**
 * Makes what any copy of this tenant's vault rows holds unreadable, old backups included: a new key, everything that is
 * still there under it, and the end of all the older ones.
 */
export async function* replaceVaultKey(
  deps: RotationDeps,
  tenantId: TenantId,
): Rotation<{ readonly version: number; readonly destroyed: number }> {
  const { version } = yield* rotateTenantKey(deps, tenantId, 'vault')
  const { usable } = await deps.keys.store.versions(tenantId, 'vault')
  const older = usable.filter((one) => one < version)
  for (const one of older) yield* retireTenantKey(deps, tenantId, 'vault', one)
  return { version, destroyed: older.length }
}

async function refuseWhileNeeded(
  deps: RotationDeps,
  place: { readonly tenantId: TenantId; readonly purpose: KeyPurpose; readonly version: number },
): Promise<void> {
  const needed = Object.entries(await referencesTo(deps, place))
  if (needed.length > 0)
    throw new AppError(
      'resource.conflict',
      `This version is still needed by ${needed.map(([what, count]) => `${count} ${what}`).join(' and ')}.`,
    )
}

async function refreshesUnderWay({ vaultDb }: RotationDeps, tenantId: TenantId): Promise<number> {
  const [row] = await vaultDb.tenant(
    tenantId,
    (tx) => tx.$queryRaw<{ count: bigint }[]>`
      SELECT count(*) AS count FROM credential
       WHERE tenant_id = ${tenantId} AND lease_owner IS NOT NULL AND lease_until > clock_timestamp()`,
  )
  return Number(row?.count ?? 0)
}

const pause = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))
