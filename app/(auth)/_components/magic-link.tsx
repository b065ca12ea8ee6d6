'use client'

import { signInWith } from '@/app/(auth)/_components/finish-sign-in'
import { LinkGate } from '@/app/(auth)/_components/link-gate'
import { MagicLinkConfirm } from '@/components/pages/link-confirm'

export function MagicLink() {
  return (
    <LinkGate purposes={['magic_link']} retryHref="/login" retryLabel="Ask for a new link">
      {(link) => (
        <MagicLinkConfirm onConfirm={() => signInWith('/signin/magic-link/confirm', { secret: link.secret })} />
      )}
    </LinkGate>
  )
}
