'use client'

import { useRouter } from 'next/navigation'

import { isRecord, send, text, unreadable } from '@/app/_client/request'
import { LinkedSignIns } from '@/app/(dashboard)/settings/account/_components/linked-sign-ins'
import { restoreWorkspace } from '@/app/_client/restore-workspace'
import { SignInMethodsSection } from '@/app/(dashboard)/settings/account/_components/sign-in-methods-section'
import type { ActionResult } from '@/components/action'
import { AccountSettings } from '@/components/pages/account-settings'
import type { AccountSettingsProps } from '@/components/pages/account-settings'

type Facts = Pick<
  AccountSettingsProps,
  'email' | 'isEmailVerified' | 'hasPassword' | 'sessions' | 'workspaces' | 'deletedWorkspaces' | 'canCreateWorkspace'
>

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
      linkedSignIns={<LinkedSignIns />}
      onCreateWorkspace={async ({ name }) => {
        const made = await send('POST', '/api/v1/workspaces', { name }, (body) => text(body, 'id'))
        return made.ok ? openWorkspace(made.value) : made
      }}
      onOpenWorkspace={({ id }) => openWorkspace(id)}
      onRestoreWorkspace={({ id }) => restoreWorkspace(id)}
      onExport={takeData}
    />
  )
}

async function openWorkspace(workspaceId: string): Promise<ActionResult> {
  const result = await send('PUT', '/api/v1/account/workspace', { workspaceId }, () => undefined)
  // Everything on the pages belongs to a workspace, so nothing of the one before is kept.
  if (result.ok) window.location.assign('/')
  return result
}

async function takeData(): Promise<ActionResult> {
  const result = await send('POST', '/api/v1/account/export', {}, (body) => body)
  if (!result.ok) return result
  if (!isRecord(result.value)) return { ok: false, error: unreadable }
  const url = URL.createObjectURL(new Blob([JSON.stringify(result.value, null, 2)], { type: 'application/json' }))
  const link = document.createElement('a')
  link.href = url
  link.download = 'portcullis-personal-data.json'
  link.click()
  URL.revokeObjectURL(url)
  return { ok: true }
}
