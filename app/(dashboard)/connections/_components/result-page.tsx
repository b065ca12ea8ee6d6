'use client'

import { scopeLine, useCatalogue } from '@/app/_client/catalogue'
import { startConnect } from '@/app/_client/connect'
import { LiveRefresh } from '@/app/_client/live'
import type { AttemptEnd } from '@/app/_data/attempts'
import { ConnectResult } from '@/components/pages/connect-result'

/** What the page shows of an end: codes become sentences here. */
export type ShownEnd =
  Exclude<AttemptEnd, { readonly kind: 'failed' | 'expired' }> | { readonly kind: 'failed'; readonly message: string }

export function ResultPage({ provider, providerName, end }: { provider: string; providerName: string; end: ShownEnd }) {
  const state = useCatalogue()
  const base = { provider, providerName }
  if (end.kind === 'pending') {
    return (
      <>
        <LiveRefresh watch="/api/v1/activity?limit=1" everyMs={1_000} />
        <ConnectResult outcome={{ ...base, kind: 'pending' }} />
      </>
    )
  }
  if (end.kind !== 'partial') return <ConnectResult outcome={{ ...base, ...end }} />
  const catalogue = state.kind === 'ready' ? state.catalogue : undefined
  return (
    <ConnectResult
      outcome={{ ...base, ...end, missing: end.missing.map((scope) => scopeLine(catalogue, provider, scope)) }}
      onRetry={() => startConnect(provider, { connectionId: end.connectionId })}
    />
  )
}
