import { SearchX } from 'lucide-react'
import type { Metadata } from 'next'
import Link from 'next/link'

import { Brand } from '@/components/shell/brand'
import { Button } from '@/components/ui/button'

export const metadata: Metadata = { title: 'Not found' }

/** The same words for what never existed and for what belongs to somebody else. */
export default function NotFound() {
  return (
    <main id="main" className="flex min-h-dvh flex-col items-center justify-center px-6 py-16 text-center">
      <Brand className="mb-10 text-lg" />
      <SearchX aria-hidden className="size-8 text-muted" />
      <h1 className="mt-4 text-xl font-semibold">There is nothing here</h1>
      <p className="mt-1 max-w-md text-pretty text-muted">
        The address is wrong, or what was here is gone, or it is not yours to see.
      </p>
      <Button asChild variant="primary" className="mt-6">
        <Link href="/">Go home</Link>
      </Button>
    </main>
  )
}
