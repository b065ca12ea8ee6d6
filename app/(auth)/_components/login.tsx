'use client'

import { useState } from 'react'

import { askByMail } from '@/app/(auth)/_components/ask-by-mail'
import { signInWith } from '@/app/(auth)/_components/finish-sign-in'
import { send } from '@/app/_client/request'
import { keepWantedPage } from '@/app/(auth)/_components/wanted-page'
import type { ActionResult } from '@/components/action'
import { LoginForm } from '@/components/pages/login-form'

export function Login({ next, notice }: { next: string | undefined; notice: string | undefined }) {
  const [mailHint, setMailHint] = useState<string>()
  return (
    <LoginForm
      notice={notice}
      mailHint={mailHint}
      onPassword={({ email, password }) =>
        signInWith('/signin/password', { email, password, ...(next === undefined ? {} : { next }) })
      }
      onPasskey={() => signInByPasskey(next)}
      onMagicLink={({ email }) => {
        keepWantedPage(next)
        return askByMail('/signin/magic-link', email, setMailHint)
      }}
    />
  )
}

/** Nobody is named: the device knows who has a passkey here. */
async function signInByPasskey(next: string | undefined): Promise<ActionResult> {
  const { parseOptions, signWithPasskey } = await import('@/app/_client/passkey')
  const options = await send('POST', '/signin/passkey/options', {}, parseOptions)
  if (!options.ok) return options
  const signed = await signWithPasskey(options.value)
  if (!signed.ok) return signed
  return signInWith('/signin/passkey', { passkey: signed.value, ...(next === undefined ? {} : { next }) })
}
