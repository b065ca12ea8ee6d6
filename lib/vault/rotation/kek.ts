/**
 * Another key-encryption key: the tenants' keys are unwrapped and wrapped under it, one file after the other. Nothing that
 * they seal is touched, and both KEKs open until the old one is retired, so nobody who uses a key notices.
 *
 * First the new KEK's canary, so that from the first key wrapped under it nobody starts without it; then the keys; then
 * once more whatever a slower process made meanwhile.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import { AppError } from '../../errors'
import { KekError, kekIdOf } from '../kek/kek'
import type { KeyPlace } from '../key-store'
import { hasCanary, putCanary } from '../readiness'
import { unwrapKey, wrapKey } from '../tenant-keys'
import { begin, exclusively, findUnfinished, finish, recordKeyEvent, type Rotation, type RotationDeps } from './run'

export interface KekRotated {
  readonly kekId: string
  readonly rewrapped: number
  /** Keys that no KEK here opens. They were left as they are. */
  readonly unreadable: number
  /** A lost process's rotation was taken up. */
  readonly resumed: boolean
}

const SCOPE = 'kek'
const MAX_ROUNDS = 5

/** @throws AppError `resource.conflict` when one is under way, `vault.key_unavailable` when no new key can be made here */
export function rotateKek(deps: RotationDeps): Rotation<KekRotated> {
  return exclusively(deps, async function* (check) {
    const { vaultDb, kek, keys, keyStoreDir } = deps
    const { store } = keys
    const unfinished = await findUnfinished(vaultDb, SCOPE)
    const active = await kek.activeId()
    let kekId = active
    if (unfinished?.target !== active) {
      // Nothing to catch up with: then a new key is what was asked for.
      if ((await pendingKeys(deps, active)).length === 0 && (await hasCanary(vaultDb, active)))
        kekId = await kek.rotate()
      await begin(vaultDb, SCOPE, kekId)
    }
    await putCanary(vaultDb, kek, keyStoreDir)

    let rewrapped = 0
    const unreadable = new Set<string>()
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const pending = (await pendingKeys(deps, kekId)).filter((place) => !unreadable.has(nameOf(place)))
      if (pending.length === 0) break
      let told: string | undefined
      for (const place of pending) {
        check()
        if (told !== place.tenantId)
          await recordKeyEvent(deps, (told = place.tenantId), 'keys.rewrapped', codeOf(kekId), kekId)
        try {
          const wrapped = await store.read(place)
          if (wrapped === undefined || kekIdOf(wrapped) === kekId) continue
          const key = await unwrapKey(kek, place, wrapped)
          try {
            await store.replace(place, await wrapKey(kek, place, key))
          } finally {
            key.fill(0)
          }
          rewrapped += 1
        } catch (error) {
          // One tenant's damage is no reason to leave the others under the old key. A service that is away is.
          if (!(error instanceof AppError) || error.code !== 'vault.wrong_key') throw error
          deps.log.error({ err: error, ...place }, 'A wrapped key does not open; it is left as it is.')
          unreadable.add(nameOf(place))
        }
        yield { what: 'tenant keys', done: rewrapped, total: pending.length }
      }
    }
    const left = (await pendingKeys(deps, kekId)).filter((place) => !unreadable.has(nameOf(place)))
    if (left.length > 0)
      throw new KekError(
        'unavailable',
        'Keys are made under the old key faster than they are wrapped anew. Run it again.',
      )
    if (unreadable.size === 0) await finish(vaultDb, SCOPE, rewrapped)
    return { kekId, rewrapped, unreadable: unreadable.size, resumed: unfinished !== undefined }
  })
}

/** Keys that another KEK wraps. */
async function pendingKeys({ keys }: RotationDeps, kekId: string): Promise<KeyPlace[]> {
  const pending: KeyPlace[] = []
  for await (const place of keys.store.list()) {
    const wrapped = await keys.store.read(place)
    if (wrapped !== undefined && kekIdOf(wrapped) !== kekId) pending.push(place)
  }
  return pending
}

const nameOf = ({ tenantId, purpose, version }: KeyPlace) => `${tenantId}/${purpose}/${version}`

/** A short code of a KEK's name for the record, whatever service named it. */
export function codeOf(kekId: string): string {
  return /^kek_[0-9a-f]{16}$/.test(kekId)
    ? kekId
    : `kek:${createHash('sha256').update(kekId).digest('hex').slice(0, 16)}`
}
