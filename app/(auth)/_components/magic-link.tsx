'use client'

import { signInWith } from '@/app/(auth)/_components/finish-sign-in'
import { LinkGate } from '@/app/(auth)/_components/link-gate'
import { takeWantedPage } from '@/app/(auth)/_components/wanted-page'
import { MagicLinkConfirm } from '@/components/pages/link-confirm'

export function MagicLink() {
  return (
    <LinkGate purposes={['magic_link']} retryHref="/login" retryLabel="Ask for a new link">
      {(link) => (
        <MagicLinkConfirm
          onConfirm={() => {
            const next = takeWantedPage()
            return signInWith('/signin/magic-link/confirm', {
              secret: link.secret,
              ...(next === undefined ? {} : { next }),
            })
          }}
        />
      )}
    </LinkGate>
  )
}
