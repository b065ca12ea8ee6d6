import { Card, CardBody } from '@/components/ui/card'
import { Loading, Skeleton, SkeletonRows } from '@/components/ui/skeleton'

function HeaderSkeleton() {
  return (
    <div className="mb-6 space-y-2.5 md:mb-8">
      <Skeleton className="h-8 w-48" />
      <Skeleton className="h-4 w-80 max-w-full" />
    </div>
  )
}

/** Lists: connections, agents, sessions, activity. */
export function ListPageSkeleton({ label }: { label: string }) {
  return (
    <Loading label={label}>
      <HeaderSkeleton />
      <Card>
        <SkeletonRows rows={6} />
      </Card>
    </Loading>
  )
}

/** One thing with its facts: a connection, an agent. */
export function DetailPageSkeleton({ label }: { label: string }) {
  return (
    <Loading label={label}>
      <HeaderSkeleton />
      <div className="grid gap-6 lg:grid-cols-[2fr_1fr]">
        <Card>
          <SkeletonRows rows={4} />
        </Card>
        <Card>
          <CardBody className="space-y-3">
            <Skeleton className="h-4 w-1/2" />
            <Skeleton className="h-4 w-3/4" />
            <Skeleton className="h-4 w-2/3" />
          </CardBody>
        </Card>
      </div>
    </Loading>
  )
}

export function FormPageSkeleton({ label }: { label: string }) {
  return (
    <Loading label={label}>
      <HeaderSkeleton />
      <Card>
        <CardBody className="space-y-4">
          <Skeleton className="h-10 max-w-md" />
          <Skeleton className="h-10 max-w-md" />
          <Skeleton className="h-9 w-28" />
        </CardBody>
      </Card>
    </Loading>
  )
}
