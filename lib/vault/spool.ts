/**
 * Answers of providers that are not in the database yet, one file each, sealed under the tenant's spool key.
 *
 * A rotating refresh token is dead the moment the provider answers; from then until the commit this file is what survives
 * the process. It is on disk before the database is asked, and goes when the database has committed.
 *
 *     <folder>/<attempt id>.json    names tenant, connection, attempt and generation; the rest is sealed
 *     <folder>/<attempt id>.bad     could not be read; kept for an operator
 *     <folder>/<attempt id>.room    proves for a moment that an answer would fit
 *
 * @module
 */
import { readdir, rename, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { z } from 'zod'

import { AppError } from '../errors'
import { brand, isId } from '../ids'
import type { Log } from '../log'
import { Secret } from '../secret'
import type { AnswerOf, StoredTokens } from './attempt'
import { open, seal, type Place } from './envelope'
import { createIntegrity, type OnIntegrityAlarm } from './integrity'
import { ignore, privateFolder, readPrivate, replacePrivate } from './private-file'
import type { TenantKeys } from './tenant-keys'

export interface SpooledAnswer {
  readonly answer: AnswerOf
  readonly tokens: StoredTokens
}

export interface Spool {
  /** Proves that an answer could be kept, before the provider is asked for one. */
  prepare(answer: AnswerOf): Promise<void>
  /** On disk when it resolves. */
  write(answer: AnswerOf, tokens: StoredTokens): Promise<void>
  remove(attemptId: string): Promise<void>
  find(attemptId: string): Promise<SpooledAnswer | undefined>
  /** Ids of the answers that wait, oldest first. */
  list(): Promise<string[]>
}

const fileSchema = z.strictObject({
  format: z.literal(1),
  tenantId: z.string().refine((value) => isId('tenant', value)),
  connectionId: z.string().refine((value) => isId('connection', value)),
  attemptId: z.string().refine((value) => isId('attempt', value)),
  generation: z.int().positive(),
  keyVersion: z.int().positive(),
  sealed: z.base64(),
})

const tokensSchema = z.strictObject({
  access: z.string(),
  refresh: z.string().nullable(),
  accessExpiresAt: z.iso.datetime().nullable(),
  refreshExpiresAt: z.iso.datetime().nullable(),
  scopes: z.array(z.string()).nullable(),
})

/** Two tokens of 8 kB and what surrounds them, in base64. */
const LARGEST_BYTES = 32_768

export function createSpool(deps: {
  readonly folder: string
  readonly keys: TenantKeys
  readonly onIntegrityAlarm: OnIntegrityAlarm
  readonly log: Log
}): Spool {
  const { folder, keys, log } = deps
  const integrity = createIntegrity(deps)
  const fileOf = (attemptId: string, suffix: 'json' | 'bad' | 'room' = 'json'): string => {
    // The id becomes part of a path.
    if (!isId('attempt', attemptId)) throw new AppError('internal', 'This is not an attempt.')
    return path.join(folder, `${attemptId}.${suffix}`)
  }

  /** A folder that exists may still be read-only, or on a disk that is full: only a file of that size tells. */
  const proveRoom = async (file: string): Promise<void> => {
    try {
      await privateFolder(folder)
      try {
        await writeFile(file, Buffer.alloc(LARGEST_BYTES), { mode: 0o600 })
      } finally {
        await unlink(file).catch(ignore('ENOENT', 'ENOTDIR'))
      }
    } catch (cause) {
      throw new AppError(
        'service.unavailable',
        'Refreshed access cannot be kept safe at the moment. Try again later.',
        {
          cause,
        },
      )
    }
  }

  return {
    async prepare(answer) {
      await proveRoom(fileOf(answer.attemptId, 'room'))
      const { key } = await keys.current(answer.tenantId, 'spool')
      key.fill(0)
    },

    async write(answer, tokens) {
      const plain = Buffer.from(JSON.stringify(toWire(tokens)))
      const { version, key } = await keys.current(answer.tenantId, 'spool')
      try {
        const sealed = seal({ id: `spool/${version}`, key }, plain, placeOf(answer)).toString('base64')
        const { tenantId, connectionId, attemptId, generation } = answer
        const file = { format: 1, tenantId, connectionId, attemptId, generation, keyVersion: version, sealed }
        await replacePrivate(fileOf(answer.attemptId), Buffer.from(JSON.stringify(file)))
      } finally {
        plain.fill(0)
        key.fill(0)
      }
    },

    async remove(attemptId) {
      await unlink(fileOf(attemptId)).catch(ignore('ENOENT'))
    },

    async find(attemptId) {
      if (!isId('attempt', attemptId)) return undefined
      const content = await readPrivate(fileOf(attemptId))
      if (content === undefined) return undefined
      const setAside = async (reason: string) => {
        log.error({ attemptId, reason }, 'A spooled answer cannot be read; it is kept as a .bad file.')
        await rename(fileOf(attemptId), fileOf(attemptId, 'bad')).catch(ignore('ENOENT'))
        return undefined
      }
      const parsed = fileSchema.safeParse(parseJson(content.toString('utf8')))
      if (!parsed.success || parsed.data.attemptId !== attemptId) return setAside('not a spool file')
      const { generation, keyVersion, sealed } = parsed.data
      const tenantId = brand<'tenant'>(parsed.data.tenantId)
      const connectionId = brand<'connection'>(parsed.data.connectionId)
      const answer = { tenantId, connectionId, attemptId, generation }
      try {
        const plain = await integrity.watch({ tenantId, connectionId, generation, field: 'spool' }, async () => {
          const key = await keys.at(tenantId, 'spool', keyVersion)
          try {
            return open({ id: `spool/${keyVersion}`, key }, Buffer.from(sealed, 'base64'), placeOf(answer))
          } finally {
            key.fill(0)
          }
        })
        try {
          return { answer, tokens: fromWire(tokensSchema.parse(JSON.parse(plain.toString('utf8')))) }
        } finally {
          plain.fill(0)
        }
      } catch (error) {
        // A key that cannot be had may come back; altered bytes do not.
        if (error instanceof AppError && error.code === 'vault.unreadable') return setAside('altered')
        throw error
      }
    },

    async list() {
      const names = (await readdir(folder).catch(ignore('ENOENT'))) ?? []
      const ids = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
      return ids.filter((id) => isId('attempt', id)).sort()
    },
  }
}

function placeOf({ tenantId, connectionId, attemptId, generation }: AnswerOf): Place {
  return { tenantId, connectionId, field: `spool:${attemptId}`, generation }
}

function toWire(tokens: StoredTokens): z.infer<typeof tokensSchema> {
  return {
    access: tokens.accessToken.reveal(),
    refresh: tokens.refreshToken?.reveal() ?? null,
    accessExpiresAt: tokens.accessExpiresAt?.toISOString() ?? null,
    refreshExpiresAt: tokens.refreshExpiresAt?.toISOString() ?? null,
    scopes: tokens.grantedScopes === null ? null : [...tokens.grantedScopes],
  }
}

function fromWire(wire: z.infer<typeof tokensSchema>): StoredTokens {
  const instant = (value: string | null) => (value === null ? null : new Date(value))
  return {
    accessToken: new Secret(wire.access),
    refreshToken: wire.refresh === null ? null : new Secret(wire.refresh),
    accessExpiresAt: instant(wire.accessExpiresAt),
    refreshExpiresAt: instant(wire.refreshExpiresAt),
    grantedScopes: wire.scopes,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
