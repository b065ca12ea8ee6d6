'use client'

import { LinkGate } from '@/app/(auth)/_components/link-gate'
import { send, text } from '@/app/_client/request'
import { VerifyEmailConfirm } from '@/components/pages/link-confirm'

export function VerifyEmail() {
  return (
    <LinkGate purposes={['verify_email', 'change_email']} retryHref="/settings/account" retryLabel="Ask for a new link">
      {(link) => (
        <VerifyEmailConfirm
          {...(link.email === undefined ? {} : { email: link.email })}
          onConfirm={async () => {
            const answer = await send('POST', '/signin/verify-email/confirm', { secret: link.secret }, (body) =>
              text(body, 'next'),
            )
            if (!answer.ok) return answer
            window.location.replace(answer.value)
            return { ok: true }
          }}
        />
      )}
    </LinkGate>
  )
}
