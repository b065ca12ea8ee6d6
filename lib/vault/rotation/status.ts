/**
 * Which keys there are, which of them is used from now on, and what needs the others.
 *
 * @module
 */
import type { TenantId } from '../../ids'
import { kekIdOf } from '../kek/kek'
import { INSTALLATION, PURPOSES, type KeyPurpose } from '../key-store'
import { referenceName, referencesTo, vaultReferences } from './references'
import type { RotationDeps } from './run'

export interface KekStatus {
  readonly id: string
  readonly active: boolean
  /** Whether every process proves at its start that it can open with it. */
  readonly canary: boolean
  readonly tenantKeys: number
}

export interface TenantKeyStatus {
  readonly tenantId: TenantId
  readonly purpose: KeyPurpose
  readonly version: number
  readonly state: 'newest' | 'older' | 'destroyed'
  readonly kekId: string | null
  /** What needs it, with counts. For the vault's keys and the installation's always; for the others when one tenant is asked about. */
  readonly references: Readonly<Record<string, number>>
}

export interface KeyStatus {
  readonly keks: readonly KekStatus[]
  readonly tenantKeys: readonly TenantKeyStatus[]
  readonly unfinished: readonly { readonly scope: string; readonly done: number; readonly startedAt: string }[]
}

/** @param only  one tenant; its references of every purpose are counted then */
export async function keyStatus(
  deps: Pick<RotationDeps, 'vaultDb' | 'appDb' | 'kek' | 'keys' | 'spoolDirs'>,
  only?: TenantId,
): Promise<KeyStatus> {
  const { vaultDb, kek, keys } = deps
  const { store } = keys
  const [active, canaries, configured, inVault, unfinished] = await Promise.all([
    kek.activeId(),
    vaultDb.global.keyCanary.findMany({ select: { kekId: true } }),
    kek.ids(),
    vaultReferences(deps),
    vaultDb.global.keyRotation.findMany({ where: { finishedAt: null } }),
  ])
  const wrappedBy = new Map<string, number>()
  const tenantKeys: TenantKeyStatus[] = []
  for (const tenantId of await store.tenants())
    for (const purpose of PURPOSES) {
      const { usable, destroyed, newest } = await store.versions(tenantId, purpose)
      for (const version of usable) {
        const wrapped = await store.read({ tenantId, purpose, version })
        const kekId = wrapped === undefined ? null : (kekIdOf(wrapped) ?? null)
        if (kekId !== null) wrappedBy.set(kekId, (wrappedBy.get(kekId) ?? 0) + 1)
        if (only !== undefined && only !== tenantId) continue
        const references =
          only !== undefined || tenantId === INSTALLATION
            ? await referencesTo(deps, { tenantId, purpose, version })
            : purpose === 'vault'
              ? counted(inVault.get(referenceName(tenantId, version)))
              : {}
        const state = version === newest ? 'newest' : 'older'
        tenantKeys.push({ tenantId, purpose, version, state, kekId, references })
      }
      if (only === undefined || only === tenantId)
        for (const version of destroyed)
          tenantKeys.push({ tenantId, purpose, version, state: 'destroyed', kekId: null, references: {} })
    }
  const withCanary = new Set(canaries.map(({ kekId }) => kekId))
  // A service names its keys without the version; the versions in use stand in canaries and wrapped keys.
  const ids = new Set([active, ...withCanary, ...wrappedBy.keys()])
  for (const id of configured) if (![...ids].some((known) => known === id || known.startsWith(`${id}/`))) ids.add(id)
  return {
    keks: [...ids].map((id) => ({
      id,
      active: id === active,
      canary: withCanary.has(id),
      tenantKeys: wrappedBy.get(id) ?? 0,
    })),
    tenantKeys,
    unfinished: unfinished.map(({ scope, done, startedAt }) => ({ scope, done, startedAt: startedAt.toISOString() })),
  }
}

function counted(references: object | undefined): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(references ?? {}).filter((entry): entry is [string, number] => Number(entry[1]) > 0),
  )
}
