import type { ReactNode } from 'react'

/** These pages read settings of the running server, which a build does not have. */
export const dynamic = 'force-dynamic'

export default function AuthLayout({ children }: { children: ReactNode }) {
  return children
}
