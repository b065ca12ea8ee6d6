'use client'

import { useRouter } from 'next/navigation'

import { SignInMethodsSection } from '@/app/(dashboard)/settings/account/_components/sign-in-methods-section'
import { send } from '@/app/_client/request'
import type { ActionResult } from '@/components/action'
import { AccountSettings } from '@/components/pages/account-settings'
import type { AccountSettingsProps } from '@/components/pages/account-settings'

type Facts = Pick<AccountSettingsProps, 'email' | 'isEmailVerified' | 'hasPassword' | 'sessions'>

/** The API's names for fields, and the form's. */
const FORM_FIELDS: Readonly<Record<string, string>> = { newPassword: 'next' }

export function AccountPage(facts: Facts) {
  const router = useRouter()

  /** Sends a change and shows what is true afterwards. `proofField` is what the form calls the present password. */
  const change = async (
    method: 'POST' | 'DELETE',
    path: `/api/v1/account/${string}`,
    body: Readonly<Record<string, unknown>>,
    proofField = 'password',
  ): Promise<ActionResult> => {
    const answer = await send(method, path, body, () => undefined)
    if (answer.ok) {
      router.refresh()
      return { ok: true }
    }
    const { field } = answer.error
    if (field === undefined) return answer
    return {
      ok: false,
      error: { ...answer.error, field: field === 'currentPassword' ? proofField : (FORM_FIELDS[field] ?? field) },
    }
  }
  const proof = (password: string) => (password === '' ? {} : { currentPassword: password })

  return (
    <AccountSettings
      {...facts}
      signInMethods={<SignInMethodsSection />}
      onChangeEmail={({ email, password }) => change('POST', '/api/v1/account/email', { email, ...proof(password) })}
      onSendVerification={() => change('POST', '/api/v1/account/email/verification', {})}
      onChangePassword={({ current, next }) =>
        change('POST', '/api/v1/account/password', { newPassword: next, ...proof(current) }, 'current')
      }
      onEndSession={({ id }) => change('DELETE', `/api/v1/account/sessions/${id}`, {})}
      onEndOtherSessions={() => change('POST', '/api/v1/account/sessions/end-others', {})}
    />
  )
}
