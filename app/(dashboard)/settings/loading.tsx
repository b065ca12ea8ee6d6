import { FormPageSkeleton } from '@/components/pages/skeletons'

export default function Loading() {
  return <FormPageSkeleton label="Loading settings" />
}
