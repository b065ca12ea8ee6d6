import { SearchX } from 'lucide-react'
import Link from 'next/link'

import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'

/** The same words for what never existed, for what is gone and for what belongs to somebody else. */
export default function DashboardNotFound() {
  return (
    <Card>
      <EmptyState
        icon={SearchX}
        title="There is nothing here"
        level={1}
        action={
          <Button asChild variant="primary">
            <Link href="/">Go home</Link>
          </Button>
        }
      >
        The address is wrong, or what was here is gone, or it is not yours to see.
      </EmptyState>
    </Card>
  )
}
