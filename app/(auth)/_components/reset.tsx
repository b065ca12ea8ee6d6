'use client'

import { useState } from 'react'

import { askByMail } from '@/app/(auth)/_components/ask-by-mail'
import { LinkGate } from '@/app/(auth)/_components/link-gate'
import { send, text } from '@/app/_client/request'
import { ResetConfirm, ResetRequest } from '@/components/pages/reset-forms'

export function Reset() {
  const [mailHint, setMailHint] = useState<string>()
  return (
    <LinkGate
      purposes={['reset_password']}
      retryHref="/reset"
      retryLabel="Ask for a new link"
      without={
        <ResetRequest mailHint={mailHint} onSubmit={({ email }) => askByMail('/signin/reset', email, setMailHint)} />
      }
    >
      {(link) => (
        <ResetConfirm
          onSubmit={async ({ password }) => {
            const answer = await send('POST', '/signin/reset/confirm', { secret: link.secret, password }, (body) =>
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
