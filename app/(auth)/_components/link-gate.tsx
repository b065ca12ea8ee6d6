'use client'

import type { ReactNode } from 'react'

import { useLink } from '@/app/(auth)/_components/use-link'
import type { LinkState } from '@/app/(auth)/_components/use-link'
import { LinkUnusable } from '@/components/pages/link-confirm'
import { Alert } from '@/components/ui/alert'
import { Loading, Skeleton } from '@/components/ui/skeleton'

type OpenLink = Extract<LinkState, { readonly state: 'open' }>

/** Shows what belongs to the link in the address, once it is known to be open and of one of these kinds. */
export function LinkGate({
  purposes,
  retryHref,
  retryLabel,
  without,
  children,
}: {
  purposes: readonly string[]
  retryHref: string
  retryLabel: string
  /** Shown when the address has no link in it. */
  without?: ReactNode
  children: (link: OpenLink) => ReactNode
}) {
  const link = useLink()
  switch (link.state) {
    case 'loading':
      return (
        <Loading label="Looking at the link…">
          <div className="space-y-4">
            <Skeleton className="h-4 w-4/5" />
            <Skeleton className="h-11 w-full" />
          </div>
        </Loading>
      )
    case 'none':
      return without ?? <LinkUnusable retryHref={retryHref} retryLabel={retryLabel} />
    case 'unusable':
      return <LinkUnusable retryHref={retryHref} retryLabel={retryLabel} />
    case 'unreachable':
      return <Alert tone="danger" title="The server could not answer. Load the page again in a moment." />
    case 'open':
      return purposes.includes(link.purpose) ? (
        children(link)
      ) : (
        <LinkUnusable retryHref={retryHref} retryLabel={retryLabel} />
      )
  }
}
