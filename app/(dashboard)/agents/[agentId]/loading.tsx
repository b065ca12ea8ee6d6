import { DetailPageSkeleton } from '@/components/pages/skeletons'

export default function Loading() {
  return <DetailPageSkeleton label="Loading the agent" />
}
