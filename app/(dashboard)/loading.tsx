import { ListPageSkeleton } from '@/components/pages/skeletons'

export default function DashboardLoading() {
  return <ListPageSkeleton label="Loading" />
}
