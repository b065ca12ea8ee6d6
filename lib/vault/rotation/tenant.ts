/**
 * Another key of a tenant for one purpose.
 *
 * `vault`: everything is written under the new version from now on, then each row's data key is wrapped under it. `spool`
 * and `webhook` and `audit`: what is new uses the new version; what is there keeps its own, because audit records are
 * chained as they are, and what is spooled is gone in seconds.
 *
 * @module
 */
import type { TenantId } from '../../ids'
import type { KeyPurpose } from '../key-store'
import { makeKey } from '../tenant-keys'
import { begin, exclusively, findUnfinished, finish, recordKeyEvent, type Rotation, type RotationDeps } from './run'
import { raiseFence } from './fence'
import { credentialIds, resealCredential, revocationIds, rewrapCredential, rewrapRevocation } from './rows'

export interface TenantRotated {
  readonly tenantId: TenantId
  readonly purpose: KeyPurpose
  readonly version: number
  readonly rewrapped: number
  /** Rows that do not open. They were left as they are, and keep their old version from being retired. */
  readonly unreadable: number
  readonly resumed: boolean
}

const BATCH = 200

/** @throws AppError `resource.conflict` when a rotation is under way, `vault.key_unavailable` */
export function rotateTenantKey(deps: RotationDeps, tenantId: TenantId, purpose: KeyPurpose): Rotation<TenantRotated> {
  return exclusively(deps, async function* (check) {
    const { vaultDb, kek, keys } = deps
    const scope = `tenant/${tenantId}/${purpose}`
    const unfinished = await findUnfinished(vaultDb, scope)
    let version = Number(unfinished?.target ?? 0)
    if (unfinished === undefined) {
      // The first key of a tenant is made as it always is, with the question whether its data has lost one.
      const current = await keys.current(tenantId, purpose)
      current.key.fill(0)
      version = (await keys.store.versions(tenantId, purpose)).next
      await recordKeyEvent(deps, tenantId, 'keys.tenant_rotated', `${purpose}:${version}`, purpose)
      await begin(vaultDb, scope, String(version))
    }
    const { newest = 0 } = await keys.store.versions(tenantId, purpose)
    if (newest < version) await makeKey(kek, keys.store, { tenantId, purpose, version })
    let rewrapped = 0
    let unreadable = 0
    if (purpose === 'vault')
      // Once for all that is there; and, with the fence up, once more for what a slower writer put there meanwhile.
      for (const isFenced of [false, true]) {
        if (isFenced) await raiseFence(deps, tenantId, version)
        unreadable = 0
        for (const kind of ['credentials', 'revocations'] as const) {
          const find = kind === 'credentials' ? credentialIds : revocationIds
          const rewrap = kind === 'credentials' ? rewrapCredential : rewrapRevocation
          for (let after = ''; ;) {
            const ids = await find(deps, tenantId, { notVersion: version, after, limit: BATCH })
            for (const [index, id] of ids.entries()) {
              check()
              const outcome = await rewrap(deps, tenantId, id)
              if (outcome === 'done') rewrapped += 1
              if (outcome === 'unreadable') {
                unreadable += 1
                deps.log.error({ tenantId, id, kind }, 'A sealed row does not open; it is left as it is.')
              }
              yield { what: kind, done: rewrapped, total: rewrapped + ids.length - index - 1 }
            }
            if (ids.length < BATCH) break
            after = ids.at(-1) ?? after
          }
        }
      }
    await finish(vaultDb, scope, rewrapped)
    return { tenantId, purpose, version, rewrapped, unreadable, resumed: unfinished !== undefined }
  })
}

export interface DekRotated {
  readonly tenantId: TenantId
  readonly resealed: number
  readonly unreadable: number
  readonly resumed: boolean
}

/** New data keys for the tokens of one connection or of all. @throws AppError as `rotateTenantKey` */
export function rotateDeks(deps: RotationDeps, tenantId: TenantId, connectionId?: string): Rotation<DekRotated> {
  return exclusively(deps, async function* (check) {
    const { vaultDb } = deps
    const scope = `dek/${tenantId}/${connectionId ?? '*'}`
    const unfinished = await findUnfinished(vaultDb, scope)
    if (unfinished === undefined) {
      await recordKeyEvent(deps, tenantId, 'keys.dek_rotated', connectionId === undefined ? 'all' : 'one', scope)
      await begin(vaultDb, scope, connectionId ?? '*')
    }
    let resealed = unfinished?.done ?? 0
    let unreadable = 0
    const only = connectionId === undefined ? {} : { only: connectionId }
    for (let after = unfinished?.position ?? ''; ;) {
      const ids = await credentialIds(deps, tenantId, { ...only, after, limit: BATCH })
      for (const [index, id] of ids.entries()) {
        check()
        const outcome = await resealCredential(deps, tenantId, id, scope)
        if (outcome === 'done') resealed += 1
        if (outcome === 'unreadable') {
          unreadable += 1
          deps.log.error({ tenantId, id }, 'A sealed row does not open; it is left as it is.')
        }
        yield { what: 'credentials', done: resealed, total: resealed + ids.length - index - 1 }
      }
      if (ids.length < BATCH) break
      after = ids.at(-1) ?? after
    }
    await finish(vaultDb, scope, resealed)
    return { tenantId, resealed, unreadable, resumed: unfinished !== undefined }
  })
}
