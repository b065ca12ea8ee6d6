import type { Metadata } from 'next'

import { AccountPage } from '@/app/(dashboard)/settings/account/_components/account-page'
import { readAccount } from '@/app/_data/account'
import { requireViewer } from '@/app/_data/session'

export const metadata: Metadata = { title: 'Your account' }

export default async function Page() {
  const viewer = await requireViewer()
  const account = await readAccount(viewer)
  return <AccountPage email={viewer.email} isEmailVerified={viewer.isEmailVerified} {...account} />
}
