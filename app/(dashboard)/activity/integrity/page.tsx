import type { Metadata } from 'next'

import { IntegrityPage } from '@/app/(dashboard)/activity/integrity/_components/integrity-page'
import { requireViewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Integrity' }

export default async function Integrity() {
  const { role } = await requireViewer()
  return (
    <IntegrityPage
      isAllowed={isPermitted(role, 'audit.verify')}
      canExport={isPermitted(role, 'audit.export')}
      canKeep={isPermitted(role, 'audit.retention')}
    />
  )
}
