/**
 * The operator's work on the trail, in this process, on the database and the data folder: verifying, and taking a person
 * out of it. It has no remote form: whoever asks a service whether it was tampered with gets the service's word for it.
 *
 * @module
 */
import { readFile, stat } from 'node:fs/promises'

import { z } from 'zod'

import { eraseSubject } from '@/lib/audit/chain/erasure'
import { readStatements, type ReadStatements } from '@/lib/audit/chain/sinks'
import { readPublicKeys } from '@/lib/audit/chain/statement'
import { createChainStore } from '@/lib/audit/chain/store'
import { verifyChain, type ChainReport, type Progress } from '@/lib/audit/chain/verify'
import type { Config } from '@/lib/config'
import { AppError } from '@/lib/errors'
import { brand, isId, type PersonId, type TenantId } from '@/lib/ids'
import { validate } from '@/gateway/http'
import { checkpointFolder, findChainKeys } from '@/wiring/audit-chain'
import type { Core } from '@/wiring/core'

const verifyRequest = z.strictObject({
  /** Files or folders; those of the data folder when there are none. */
  checkpoints: z.array(z.string().min(1)).max(100),
  /** A PEM file; the key file of the data folder when there is none. */
  publicKey: z.string().min(1).optional(),
})
const eraseRequest = z.strictObject({ person: z.string().min(3).max(320) })

export interface VerifyReport {
  readonly ok: boolean
  readonly tenants: readonly ChainReport[]
  /** Of the key that signs, for comparing with a copy kept elsewhere. */
  readonly publicKey: string | null
  /** Lines among the checkpoints that are none. */
  readonly unreadable: number
}

export function chainOperations(here: {
  readonly config: Config
  /** What `--tenant` says, when it says anything. */
  readonly wanted: string | undefined
  tenantOf(): Promise<TenantId>
  core(): Promise<Core>
  personOf(name: string): Promise<PersonId | undefined>
}): Readonly<Record<'audit.verify' | 'audit.erase_person', (body: unknown) => Promise<unknown>>> {
  const { config, wanted } = here
  return {
    'audit.verify': async (body) => {
      const request = validate(verifyRequest, body)
      // A workspace that is gone can be asked for by its id.
      const only = wanted === undefined ? undefined : isId('tenant', wanted) ? wanted : await here.tenantOf()
      return verifyHere(config, request, only)
    },
    'audit.erase_person': async (body) => {
      const { person } = validate(eraseRequest, body)
      const [tenantId, core] = [await here.tenantOf(), await here.core()]
      // A person whose account is gone is still in the trail, under their id.
      const personId = isId('person', person) ? person : await here.personOf(person)
      if (personId === undefined) throw new AppError('resource.not_found', 'There is no person of that address.')
      const { appDb, audit } = core
      const report = await eraseSubject(
        { appDb, audit },
        tenantId,
        { kind: 'person', id: personId },
        { kind: 'system' },
      )
      if (!report.wasKnown) throw new AppError('resource.not_found', 'The records of this workspace do not know them.')
      return { personId, records: report.records, calls: report.calls }
    },
  }
}

async function verifyHere(
  config: Config,
  request: z.output<typeof verifyRequest>,
  only: TenantId | undefined,
): Promise<VerifyReport> {
  if (config.databaseUrl === undefined) throw new AppError('config.invalid', 'DATABASE_URL: is needed')
  const own = await findChainKeys(config)
  const keys = request.publicKey === undefined ? own : readPublicKeys(await readNamed(request.publicKey))
  if (keys === undefined)
    throw new AppError(
      'audit.unverifiable',
      `There is no key in ${config.dataDir} to check signatures with: nothing was linked by this installation yet, or its data folder is elsewhere. --public-key names one.`,
    )
  const { statements, unreadable } = await statementsAt(config, request.checkpoints)
  const store = createChainStore(config.databaseUrl)
  const progress = createProgress(process.stderr)
  try {
    const known = await store.query<{ tenant_id: string }>('SELECT tenant_id FROM audit_chain_tenants()', [])
    const all = new Set([...known.map((row) => row.tenant_id), ...statements.map(({ tenant }) => tenant)])
    const tenants: ChainReport[] = []
    for (const id of only === undefined ? [...all].sort() : [only])
      tenants.push(
        await verifyChain(
          {
            store,
            keys,
            onProgress: (at) => {
              progress.show(id, at)
              return Promise.resolve()
            },
          },
          brand<'tenant'>(id),
          statements.filter(({ tenant }) => tenant === id),
        ),
      )
    return { ok: tenants.every(({ ok }) => ok), tenants, publicKey: own?.publicKey ?? null, unreadable }
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError('audit.unverifiable', 'The records could not be read: the database does not answer.', { cause })
  } finally {
    progress.clear()
    await store.close()
  }
}

const SHOWN_EVERY_MS = 200

/** One line that is written over, for a person at a terminal; a program that reads the output sees nothing of it. */
export function createProgress(
  to: { readonly isTTY?: boolean; write(text: string): unknown },
  now: () => number = () => performance.now(),
) {
  let shownAt: number | undefined
  return {
    show: (tenantId: string, { done, total }: Progress): void => {
      if (to.isTTY !== true || (shownAt !== undefined && now() - shownAt < SHOWN_EVERY_MS)) return
      shownAt = now()
      to.write(`\r\x1b[2K${tenantId}: ${Math.floor((100 * done) / Math.max(total, 1))} %`)
    },
    clear: (): void => {
      if (shownAt !== undefined) to.write('\r\x1b[2K')
      shownAt = undefined
    },
  }
}

async function statementsAt(config: Config, places: readonly string[]): Promise<ReadStatements> {
  const folder = checkpointFolder(config)
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  )
  const read: ReadStatements[] = []
  for (const place of places.length > 0 ? places : isThere ? [folder] : [])
    read.push(
      await readStatements(place).catch((cause: unknown) => {
        throw new AppError('request.invalid', `--checkpoints: ${place} cannot be read`, { cause })
      }),
    )
  return {
    statements: read.flatMap(({ statements }) => statements),
    unreadable: read.reduce((sum, one) => sum + one.unreadable, 0),
  }
}

const readNamed = (file: string) =>
  readFile(file, 'utf8').catch((cause: unknown) => {
    throw new AppError('request.invalid', `--public-key: ${file} cannot be read`, { cause })
  })
