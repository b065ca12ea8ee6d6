/**
 * The operator's work on keys, in this process, on the databases and the key store. It has no remote form: whoever may do
 * it is at the machine that holds the keys.
 *
 * A rotation answers in lines, one JSON value each: `{"progress":…}` for each thing done, and `{"result":…}` at the end.
 *
 * @module
 */
import path from 'node:path'

import { z } from 'zod'

import { AppError } from '@/lib/errors'
import type { TenantId } from '@/lib/ids'
import { OAUTH_KEY_FILE, rotateOauthKeys } from '@/lib/oauth-server/keys'
import { INSTALLATION, PURPOSES, type KeyPurpose } from '@/lib/vault/key-store'
import { rotateKek } from '@/lib/vault/rotation/kek'
import { retireKek, retireTenantKey } from '@/lib/vault/rotation/retire'
import type { Rotation, RotationDeps } from '@/lib/vault/rotation/run'
import { keyStatus } from '@/lib/vault/rotation/status'
import { rotateDeks, rotateTenantKey } from '@/lib/vault/rotation/tenant'
import { validate } from '@/gateway/http'
import type { Core } from '@/wiring/core'

const purpose = z.enum(PURPOSES).default('vault')
const request = z.discriminatedUnion('what', [
  z.strictObject({ what: z.literal('rotate_kek') }),
  z.strictObject({ what: z.literal('rotate_oauth') }),
  z.strictObject({ what: z.literal('rotate_tenant'), purpose }),
  z.strictObject({ what: z.literal('rotate_dek'), connection: z.string().optional() }),
  z.strictObject({ what: z.literal('retire_kek'), kek: z.string().min(1) }),
  z.strictObject({ what: z.literal('retire_tenant'), purpose, version: z.number().int().positive() }),
])

/** @param tenantOf  the workspace of `--tenant`, or the only one */
export function keyOperations(
  open: () => Promise<Core>,
  tenantOf: () => Promise<TenantId>,
  isTenantGiven: boolean,
): Readonly<Record<'keys.status' | 'keys.change', (body: unknown) => Promise<unknown>>> {
  // People belong to no workspace, and neither does the key of what is kept about them.
  const holderOf = (of: KeyPurpose): Promise<TenantId> => (of === 'person' ? Promise.resolve(INSTALLATION) : tenantOf())
  return {
    'keys.status': async () => keyStatus(depsOf(await open()), isTenantGiven ? await tenantOf() : undefined),
    'keys.change': async (body) => {
      const wanted = validate(request, body)
      const core = await open()
      if (wanted.what === 'rotate_oauth') return once(rotateOauthKeys(path.join(core.config.dataDir, OAUTH_KEY_FILE)))
      const deps = depsOf(core)
      switch (wanted.what) {
        case 'rotate_kek':
          return lines(rotateKek(deps))
        case 'rotate_tenant':
          return lines(rotateTenantKey(deps, await holderOf(wanted.purpose), wanted.purpose))
        case 'rotate_dek':
          return lines(rotateDeks(deps, await tenantOf(), wanted.connection))
        case 'retire_kek':
          return lines(retireKek(deps, wanted.kek))
        case 'retire_tenant':
          return lines(retireTenantKey(deps, await holderOf(wanted.purpose), wanted.purpose, wanted.version))
      }
    },
  }
}

function depsOf(core: Core): RotationDeps {
  const { config, notReady, vaultDb, appDb, clock, log } = core
  // Whoever reads this is the operator: they get the reason itself.
  if (notReady !== undefined) throw new AppError('vault.key_unavailable', notReady)
  if (config.vaultDatabaseUrl === undefined) throw new AppError('config.invalid', 'VAULT_DATABASE_URL: is needed')
  const { kek, keys, keyStoreDir } = core.keyAccess.opened()
  return {
    vaultDb,
    vaultUrl: config.vaultDatabaseUrl,
    appDb,
    kek,
    keys,
    keyStoreDir,
    spoolDirs: ['refresh', 'connect'].map((name) => path.join(config.dataDir, 'spool', name)),
    clock,
    log,
  }
}

async function* once(work: Promise<object>): AsyncGenerator<string, void> {
  yield JSON.stringify({ result: { ...(await work), next: 'Restart the gateways: they then use the new keys.' } })
}

async function* lines(rotation: Rotation<unknown>): AsyncGenerator<string, void> {
  for (;;) {
    const step = await rotation.next()
    if (step.done === true) {
      yield JSON.stringify({ result: step.value })
      return
    }
    yield JSON.stringify({ progress: step.value })
  }
}
