import { DetailPageSkeleton } from '@/components/pages/skeletons'

export default function Loading() {
  return <DetailPageSkeleton label="Loading the integrity of the activity" />
}
