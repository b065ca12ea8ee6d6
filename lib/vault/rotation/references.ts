/**
 * What still needs a version of a tenant's key.
 *
 * @module
 */
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

import { z } from 'zod'

import { AppError } from '../../errors'
import { brand, type TenantId } from '../../ids'
import type { KeyPlace } from '../key-store'
import { ignore } from '../private-file'
import type { RotationDeps } from './run'

type Deps = Pick<RotationDeps, 'vaultDb' | 'appDb' | 'spoolDirs' | 'keys'>

/** Processes seal under a version for at most this long after its successor was made. */
const SETTLED_MS = 10 * 60_000

export interface VaultReferences {
  readonly credentials: number
  readonly revocations: number
}

/** Rows by tenant and version of its vault key, for all tenants at once. */
export async function vaultReferences({
  vaultDb,
}: Pick<Deps, 'vaultDb'>): Promise<ReadonlyMap<string, VaultReferences>> {
  const rows = await vaultDb.global.$queryRaw<
    { tenant_id: string; key_version: number; credentials: bigint; revocations: bigint }[]
  >`SELECT tenant_id, key_version, credentials, revocations FROM key_references()`
  return new Map(
    rows.map((row) => [
      referenceName(brand<'tenant'>(row.tenant_id), row.key_version),
      { credentials: Number(row.credentials), revocations: Number(row.revocations) },
    ]),
  )
}

export const referenceName = (tenantId: TenantId, version: number) => `${tenantId}/${version}`

/** What still needs this very key, in words, with counts. Empty when nothing does. */
export async function referencesTo(deps: Deps, place: KeyPlace): Promise<Readonly<Record<string, number>>> {
  const count = COUNTERS[place.purpose]
  if (count === undefined) throw new AppError('resource.conflict', 'Nobody can say what needs keys of this purpose.')
  const counts = await count(deps, place)
  return Object.fromEntries(Object.entries(counts).filter(([, needed]) => needed > 0))
}

type Counter = (deps: Deps, place: KeyPlace) => Promise<Record<string, number>>

/** A purpose without a line here keeps its keys for ever. */
const COUNTERS: Readonly<Partial<Record<string, Counter>>> = {
  vault: async ({ vaultDb }, { tenantId, version }) =>
    vaultDb.tenant(tenantId, async (tx) => ({
      credentials: await tx.credential.count({ where: { tenantId, keyVersion: version, dekWrapped: { not: null } } }),
      revocations: await tx.revocation.count({ where: { tenantId, keyVersion: version } }),
    })),
  audit: async ({ appDb, vaultDb, keys }, { tenantId, version }) => ({
    ...(await appDb.tenant(tenantId, async (tx) => ({
      'audit records': await tx.auditRecord.count({ where: { tenantId, keyVersion: version } }),
      'kept arguments': await tx.auditArguments.count({ where: { tenantId, keyVersion: version } }),
      'secrets of streams': await tx.auditStream.count({ where: { tenantId, keyVersion: version } }),
      // Which versions sealed the parts of an export stands in its file, which may be on another machine: every one that
      // was begun before the successor was used everywhere counts.
      'exports that are kept': await tx.auditExport.count({
        where: {
          tenantId,
          status: { in: ['queued', 'running', 'ready'] },
          createdAt: { lt: await supersededAt({ keys }, { tenantId, purpose: 'audit', version }) },
        },
      }),
      // Few, and on their way: whether they are sealed under this version is not worth opening them for.
      'records under way': await tx.auditOutbox.count({ where: { tenantId } }),
    }))),
    'records under way in the vault': await vaultDb.tenant(tenantId, (tx) =>
      tx.auditOutbox.count({ where: { tenantId } }),
    ),
  }),
  spool: async ({ spoolDirs }, { tenantId, version }) => ({
    'spooled answers': await spooled(spoolDirs, tenantId, version),
  }),
  webhook: async ({ appDb }, { tenantId, version }) =>
    appDb.tenant(tenantId, async (tx) => {
      const [row] = await tx.$queryRaw<{ count: bigint }[]>`
        SELECT count(*) AS count FROM webhook WHERE tenant_id = ${tenantId} AND key_version = ${version}`
      return { webhooks: Number(row?.count ?? 0) }
    }),
  person: async ({ appDb }, { version }) => {
    const [row] = await appDb.global.$queryRaw<{ count: bigint }[]>`
      SELECT count(*) AS count FROM person_totp WHERE key_version = ${version}`
    return { 'authenticator apps': Number(row?.count ?? 0) }
  },
  sign_in: async ({ appDb }, { tenantId, version }) =>
    appDb.tenant(tenantId, async (tx) => ({
      'client secrets of single sign-on': await tx.signInConfig.count({ where: { tenantId, keyVersion: version } }),
    })),
  // Nothing is kept: what is sealed travels through a client and lives for minutes.
  mcp: () => Promise.resolve({}),
}

/** By when nobody sealed under this version any more; now, while it is the newest. */
async function supersededAt({ keys }: Pick<Deps, 'keys'>, place: KeyPlace): Promise<Date> {
  const next = await keys.store.changedAt({ ...place, version: place.version + 1 })
  return new Date(Math.min(Date.now(), next === undefined ? Infinity : next.getTime() + SETTLED_MS))
}

const spoolFile = z.object({ tenantId: z.string(), keyVersion: z.number() })

/** Answers that wait on this machine, those set aside for an operator included. */
async function spooled(folders: readonly string[], tenantId: TenantId, version: number): Promise<number> {
  let count = 0
  for (const folder of folders)
    for (const name of (await readdir(folder).catch(ignore('ENOENT'))) ?? []) {
      if (!name.endsWith('.json') && !name.endsWith('.bad')) continue
      const text = await readFile(path.join(folder, name), 'utf8').catch(ignore('ENOENT'))
      if (text === undefined) continue
      const parsed = spoolFile.safeParse(parseJson(text))
      if (parsed.success && parsed.data.tenantId === tenantId && parsed.data.keyVersion === version) count += 1
    }
  return count
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
