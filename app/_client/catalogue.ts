'use client'

/**
 * What there is to choose from: providers with their permissions, and tools. The pages' server knows neither, so the
 * browser asks the gateway, once per visit.
 *
 * @module
 */
import { useCallback, useEffect, useState } from 'react'

import type { ScopeLine } from '@/components/pages/connection-types'
import type { ToolEffect } from '@/components/ui/status-badge'

import { flag, items, load, texts } from './load'
import { text } from './request'

export interface CatalogueScope {
  readonly name: string
  readonly words: string
  readonly access: ToolEffect
  readonly isRequired: boolean
}

export interface CatalogueProvider {
  readonly name: string
  readonly displayName: string
  readonly isConfigured: boolean
  readonly isSandbox: boolean
  readonly redirectUri: string
  readonly scopes: readonly CatalogueScope[]
}

export interface CatalogueTool {
  readonly name: string
  readonly provider: string
  readonly title: string
  readonly description: string
  readonly effect: ToolEffect
  /** Any one of these sets of permissions is enough. */
  readonly scopes: readonly (readonly string[])[]
}

export interface Catalogue {
  readonly providers: readonly CatalogueProvider[]
  readonly tools: readonly CatalogueTool[]
}

export type CatalogueState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly catalogue: Catalogue }
  | { readonly kind: 'failed'; readonly message: string; readonly retry: () => void }

// One answer for all pages of a visit; a failure is not kept.
let known: Catalogue | undefined

export function useCatalogue(): CatalogueState {
  const [catalogue, setCatalogue] = useState<Catalogue>()
  const [failure, setFailure] = useState<string>()
  const [attempt, setAttempt] = useState(0)

  useEffect(() => {
    const controller = new AbortController()
    const ask = async () => {
      try {
        const result =
          known === undefined ? await fetchCatalogue(controller.signal) : { ok: true as const, value: known }
        if (controller.signal.aborted) return
        if (result.ok) setCatalogue((known = result.value))
        else setFailure(result.error.message)
      } catch {
        if (!controller.signal.aborted) setFailure('The server could not be reached.')
      }
    }
    void ask()
    return () => controller.abort()
  }, [attempt])

  const retry = useCallback(() => {
    setFailure(undefined)
    setAttempt((count) => count + 1)
  }, [])

  if (catalogue !== undefined) return { kind: 'ready', catalogue }
  return failure === undefined ? { kind: 'loading' } : { kind: 'failed', message: failure, retry }
}

async function fetchCatalogue(signal: AbortSignal) {
  const [providers, tools] = await Promise.all([
    load('/api/v1/providers', (body) => items(body, parseProvider), signal),
    load('/api/v1/tools', (body) => items(body, parseTool), signal),
  ])
  if (!providers.ok) return providers
  if (!tools.ok) return tools
  return { ok: true as const, value: { providers: providers.value, tools: tools.value } }
}

function parseProvider(item: Readonly<Record<string, unknown>>): CatalogueProvider {
  return {
    name: text(item, 'name'),
    displayName: text(item, 'displayName'),
    isConfigured: flag(item, 'configured'),
    isSandbox: flag(item, 'sandbox'),
    redirectUri: text(item, 'redirectUri'),
    scopes: items({ items: item['scopes'] }, (scope) => ({
      name: text(scope, 'name'),
      words: text(scope, 'words'),
      access: effectOf(scope['access']),
      isRequired: flag(scope, 'required'),
    })),
  }
}

function parseTool(item: Readonly<Record<string, unknown>>): CatalogueTool {
  const { scopes } = item
  if (!Array.isArray(scopes)) throw new TypeError('the answer has no scopes')
  return {
    name: text(item, 'name'),
    provider: text(item, 'provider'),
    title: text(item, 'title'),
    description: text(item, 'description'),
    effect: flag(item, 'readOnly') ? 'read' : flag(item, 'destructive') ? 'destructive' : 'write',
    scopes: scopes.map(texts),
  }
}

/** An unknown word of a newer server is shown as the kind that asks for care. */
function effectOf(value: unknown): ToolEffect {
  return value === 'read' || value === 'destructive' ? value : 'write'
}

/** One permission in words: what it means and which tools ask for it. */
export function scopeLine(catalogue: Catalogue | undefined, provider: string, scope: string): ScopeLine {
  const known = catalogue?.providers.find(({ name }) => name === provider)?.scopes.find(({ name }) => name === scope)
  return {
    scope,
    plain: known?.words ?? scope,
    why: known?.isRequired === true ? identityReason(scope) : toolReason(catalogue, provider, scope),
    access: known?.access ?? 'write',
  }
}

function identityReason(scope: string): string {
  return scope === 'offline_access'
    ? 'So that the connection renews itself and agents need not ask you again'
    : 'To show which account this is, and to tell two of yours apart'
}

function toolReason(catalogue: Catalogue | undefined, provider: string, scope: string): string | undefined {
  const titles = (catalogue?.tools ?? [])
    .filter((tool) => tool.provider === provider && tool.scopes.some((set) => set.includes(scope)))
    .map((tool) => tool.title)
  return titles.length === 0 ? undefined : `For the tools: ${titles.join(', ')}`
}
