'use client'

import { useRouter } from 'next/navigation'
import { useTransition } from 'react'

import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { ErrorState } from '@/components/ui/error-state'

/** Stands in the place of a whole page body whose reader failed. */
export function LoadFailed({ what, reference }: { what: string; reference?: string | undefined }) {
  const router = useRouter()
  const [isPending, startTransition] = useTransition()
  return (
    <Card>
      <ErrorState
        level={1}
        title={`${what} could not be loaded`}
        reference={reference}
        action={
          <Button pending={isPending} onClick={() => startTransition(() => router.refresh())}>
            Try again
          </Button>
        }
      />
    </Card>
  )
}
