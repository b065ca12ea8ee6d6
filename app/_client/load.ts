'use client'

/**
 * How a page asks the gateway for something to show: one same-origin read, its refusals as values.
 *
 * @module
 */
import type { ValueResult } from '@/components/action'

import { isRecord, readError, unreadable } from './request'

const timeoutMs = 10_000

/**
 * @param parse  reads the answer; throws when it is not what was promised
 * @throws when the server cannot be reached, or `signal` was aborted
 */
export async function load<T>(
  path: `/${string}`,
  parse: (body: unknown) => T,
  signal?: AbortSignal,
): Promise<ValueResult<T>> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const response = await fetch(path, {
    headers: { accept: 'application/json' },
    credentials: 'same-origin',
    redirect: 'error',
    cache: 'no-store',
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
  })
  if (response.status === 401) {
    // The session ended while the page stood open. Signing in leads back here.
    const here = `${window.location.pathname}${window.location.search}`
    window.location.assign(`/login?next=${encodeURIComponent(here)}`)
  }
  if (!response.ok) return { ok: false, error: await readError(response) }
  try {
    return { ok: true, value: parse(await response.json()) }
  } catch {
    return { ok: false, error: unreadable }
  }
}

/** Reads the `items` of a list. */
export function items<T>(body: unknown, parse: (item: Readonly<Record<string, unknown>>) => T): T[] {
  const list = isRecord(body) ? body['items'] : undefined
  if (!Array.isArray(list)) throw new TypeError('the answer is not a list')
  return list.map((item: unknown) => {
    if (!isRecord(item)) throw new TypeError('the answer has an entry that is no object')
    return parse(item)
  })
}

export function flag(body: unknown, key: string): boolean {
  const value = isRecord(body) ? body[key] : undefined
  if (typeof value !== 'boolean') throw new TypeError(`the answer has no ${key}`)
  return value
}

/** Reads one text that may be null. */
export function maybeText(body: unknown, key: string): string | null {
  const value = isRecord(body) ? body[key] : undefined
  return typeof value === 'string' ? value : null
}

export function texts(value: unknown): string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string'))
    throw new TypeError('the answer has no list of texts')
  return value
}

export function maybeNumber(body: unknown, key: string): number | null {
  const value = isRecord(body) ? body[key] : undefined
  return typeof value === 'number' ? value : null
}
