/**
 * Texts that travel through the client and come back: session ids and the state of a call that waits for its user. Sealed
 * under a key of their own, bound to what they were made for, and old after a while. Nothing is to be read from them and
 * nothing can be changed in them.
 *
 * @module
 */
import type { Clock } from '../clock'
import { AppError } from '../errors'
import type { TenantId } from '../ids'
import { open, seal, type Place } from '../vault/envelope'
import type { TenantKeys } from '../vault/tenant-keys'

export interface McpSeals {
  /** @param boundTo  whoever brings the text back must name the same */
  seal(tenantId: TenantId, kind: SealedKind, boundTo: string, content: unknown): Promise<string>
  /** @returns undefined for what was altered, is too old, is another's, or never was one */
  open(tenantId: TenantId, kind: SealedKind, boundTo: string, text: string): Promise<unknown>
}

export type SealedKind = 'session' | 'state'

const MAX_LENGTH = 2_048
const SHAPE = /^([1-9][0-9]{0,8})\.([A-Za-z0-9_-]+)$/

export function createMcpSeals(deps: {
  readonly keys: Pick<TenantKeys, 'current' | 'at'>
  readonly clock: Clock
  readonly maxAgeMs: Readonly<Record<SealedKind, number>>
}): McpSeals {
  const { keys, clock, maxAgeMs } = deps
  const place = (tenantId: TenantId, kind: SealedKind, boundTo: string): Place => ({
    tenantId,
    connectionId: boundTo,
    field: `mcp-${kind}`,
    generation: 0,
  })
  const named = (version: number, key: Uint8Array) => ({ id: `mcp:${version}`, key })
  return {
    async seal(tenantId, kind, boundTo, content) {
      const { version, key } = await keys.current(tenantId, 'mcp')
      const plain = Buffer.from(JSON.stringify({ at: clock.now().getTime(), content }))
      try {
        return `${version}.${seal(named(version, key), plain, place(tenantId, kind, boundTo)).toString('base64url')}`
      } finally {
        key.fill(0)
      }
    },
    async open(tenantId, kind, boundTo, text) {
      const parts = text.length <= MAX_LENGTH ? SHAPE.exec(text) : null
      if (parts === null) return undefined
      const version = Number(parts[1])
      try {
        const key = await keys.at(tenantId, 'mcp', version)
        try {
          const sealed = Buffer.from(parts[2] ?? '', 'base64url')
          const { at, content } = JSON.parse(
            open(named(version, key), sealed, place(tenantId, kind, boundTo)).toString('utf8'),
          ) as { readonly at: number; readonly content: unknown } // what `seal` wrote
          return clock.now().getTime() - at <= maxAgeMs[kind] ? content : undefined
        } finally {
          key.fill(0)
        }
      } catch (error) {
        // A key that is not there now is the same to the client as one that never was: it begins anew.
        if (error instanceof AppError && error.code.startsWith('vault.')) return undefined
        throw error
      }
    },
  }
}
