'use client'

import { useState } from 'react'

import { askByMail } from '@/app/(auth)/_components/ask-by-mail'
import { signInWith } from '@/app/(auth)/_components/finish-sign-in'
import { keepWantedPage } from '@/app/(auth)/_components/wanted-page'
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
      onMagicLink={({ email }) => {
        keepWantedPage(next)
        return askByMail('/signin/magic-link', email, setMailHint)
      }}
    />
  )
}
