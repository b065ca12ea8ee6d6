import { ListPageSkeleton } from '@/components/pages/skeletons'

export default function Loading() {
  return <ListPageSkeleton label="Loading streams" />
}
