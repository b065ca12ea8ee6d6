'use client'

import { beginElsewhere } from '@/app/_client/sign-in-elsewhere'
import { SsoForm } from '@/components/pages/sso-form'

export function SingleSignOn({
  next,
  workspace,
  problem,
}: {
  next: string | undefined
  workspace: string | undefined
  problem: string | undefined
}) {
  return (
    <SsoForm
      workspace={workspace}
      problem={problem}
      onStart={(by) => beginElsewhere('/signin/sso', { ...by, ...(next === undefined ? {} : { next }) })}
    />
  )
}
