import type { Metadata } from 'next'

import { SingleSignOnPage } from '@/app/(dashboard)/settings/single-sign-on/_components/single-sign-on-page'
import { requireViewer } from '@/app/_data/session'
import { SingleSignOnClosed } from '@/components/pages/single-sign-on-settings'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Single sign-on' }

export default async function Page() {
  const viewer = await requireViewer()
  if (!isPermitted(viewer.role, 'sign_in.manage')) return <SingleSignOnClosed />
  return <SingleSignOnPage workspaceSlug={viewer.workspace.slug} />
}
