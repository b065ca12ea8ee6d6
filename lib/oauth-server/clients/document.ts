/**
 * Clients that are a URL: their metadata is a document at that address, fetched like any address a stranger names.
 *
 * What was valid is kept as long as its host says, between five minutes and a day; when the host then fails, for a
 * bounded time more, since some hosts turn cloud addresses away now and then. A failure and an invalid document are
 * never kept. One fetch at a time for one address.
 *
 * @see OAuth Client ID Metadata Document §3–4, RFC 9111 §5.2.2.1
 * @module
 */
import { LRUCache } from 'lru-cache'

import type { Clock } from '../../clock'
import type { Egress } from '../../egress/egress'
import { AppError } from '../../errors'
import { displayText, normaliseClient, type ClientWire } from './normalise'

const MAX_BYTES = 16_384
const TIMEOUT_MS = 5_000
const MIN_FRESH_MS = 5 * 60_000
const MAX_FRESH_MS = 24 * 3_600_000
const MAX_STALE_MS = 7 * 24 * 3_600_000
const MAX_CACHED = 500
const MAX_ID_LENGTH = 1_024

export interface ClientDocuments {
  /** @returns undefined when there is no valid document at this address, whatever the reason */
  find(clientId: string): Promise<ClientWire | undefined>
}

export interface ClientDocumentDependencies {
  readonly egress: Pick<Egress, 'request'>
  readonly clock: Clock
  /** Called before a request leaves. @throws to forbid it */
  readonly beforeFetch?: () => Promise<void>
  /** The copy that somebody approved last, for when the host does not answer. */
  readonly approved?: (clientId: string) => Promise<{ readonly client: ClientWire; readonly at: Date } | undefined>
}

interface Copy {
  readonly client: ClientWire
  readonly freshUntil: number
  readonly staleUntil: number
}

/** Judged on the raw text, because a parser would have removed what is not allowed. */
export function isDocumentId(clientId: string): boolean {
  if (clientId.length > MAX_ID_LENGTH || !/^https:\/\/[^/?#@\\]+\/[^#]*$/.test(clientId)) return false
  if (/[^\x21-\x7e]|\\/.test(clientId) || !URL.canParse(clientId)) return false
  const { username, password, pathname } = new URL(clientId)
  if (username !== '' || password !== '' || pathname === '/') return false
  const path = clientId.replace(/^https:\/\/[^/]+/, '').split('?', 1)[0] ?? ''
  return path.split('/').every((segment) => !/^(?:\.|%2e){1,2}$/i.test(segment))
}

export function createClientDocuments(deps: ClientDocumentDependencies): ClientDocuments {
  const { egress, clock } = deps
  const copies = new LRUCache<string, Copy>({ max: MAX_CACHED })
  const underWay = new Map<string, Promise<Copy | undefined>>()

  async function fetchCopy(clientId: string): Promise<Copy | undefined> {
    const { status, headers, body } = await egress.request(clientId, {
      headers: { accept: 'application/json' },
      maxBytes: MAX_BYTES,
      timeoutMs: TIMEOUT_MS,
    })
    const type = (headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
    // Turned away or broken, which says nothing about the document.
    if (status === 403 || status === 429 || status >= 500)
      throw new AppError('egress.refused', 'The document cannot be read now.')
    if (status !== 200 || !/^application\/(?:[a-z0-9.+-]+\+)?json$/.test(type)) return undefined
    const client = readDocument(clientId, body)
    if (client === undefined) return undefined
    const now = clock.now().getTime()
    return { client, freshUntil: now + freshFor(headers.get('cache-control')), staleUntil: now + MAX_STALE_MS }
  }

  /** A host that fails is not a host that took its document back. */
  async function lastKnown(clientId: string): Promise<ClientWire | undefined> {
    const now = clock.now().getTime()
    const copy = copies.get(clientId)
    if (copy !== undefined && now < copy.staleUntil) return copy.client
    const approved = await deps.approved?.(clientId)
    return approved !== undefined && now < approved.at.getTime() + MAX_STALE_MS ? approved.client : undefined
  }

  return {
    async find(clientId) {
      if (!isDocumentId(clientId)) return undefined
      const copy = copies.get(clientId)
      if (copy !== undefined && clock.now().getTime() < copy.freshUntil) return copy.client
      let request = underWay.get(clientId)
      if (request === undefined) {
        request = (deps.beforeFetch?.() ?? Promise.resolve())
          .then(() => fetchCopy(clientId))
          .finally(() => underWay.delete(clientId))
        underWay.set(clientId, request)
      }
      try {
        const fetched = await request
        if (fetched !== undefined) {
          copies.set(clientId, fetched)
          return fetched.client
        }
      } catch {
        return lastKnown(clientId)
      }
      // It answered, with something else: what was there counts no more.
      copies.delete(clientId)
      return undefined
    },
  }
}

function readDocument(clientId: string, body: Buffer): ClientWire | undefined {
  let document: unknown
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
  if (typeof document !== 'object' || document === null || !('client_id' in document)) return undefined
  if (document.client_id !== clientId) return undefined
  const normalised = normaliseClient('document', document, displayText(new URL(clientId).host, 80))
  return normalised.ok ? normalised.client : undefined
}

function freshFor(cacheControl: string | null): number {
  const seconds = /(?:^|[,\s])max-age\s*=\s*"?(\d{1,9})/i.exec(cacheControl ?? '')?.[1]
  return Math.max(MIN_FRESH_MS, Math.min(MAX_FRESH_MS, Number(seconds ?? 0) * 1_000))
}
