import type { Metadata } from 'next'

import { ApiKeysPage } from '@/app/(dashboard)/settings/api-keys/_components/api-keys-page'
import { keyRoles, listApiKeys } from '@/app/_data/api-keys'
import { requireViewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'API keys' }

export default async function Page() {
  const viewer = await requireViewer()
  return (
    <ApiKeysPage
      keys={await listApiKeys(viewer)}
      canCreate={isPermitted(viewer.role, 'api_key.create')}
      roles={keyRoles(viewer)}
    />
  )
}
