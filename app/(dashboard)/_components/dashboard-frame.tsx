'use client'

import { useEffect, useState } from 'react'
import type { ReactNode } from 'react'

import { isRecord, send, text } from '@/app/_client/request'
import { StepUpProvider } from '@/app/_client/step-up'
import { UnreadProvider, useUnreadCount } from '@/app/_client/unread'
import { AppShell } from '@/components/shell/app-shell'
import type { SignedInPerson } from '@/components/shell/user-menu'
import type { WorkspaceChoice } from '@/components/shell/workspace-switcher'
import type { Theme } from '@/components/theme'
import { useToast } from '@/components/ui/toast'

const readinessEveryMs = 60_000

/** The shell with what only the browser can ask for: signing out, and whether the gateway is ready. */
export function DashboardFrame({
  person,
  workspace,
  workspaces,
  theme,
  isSandbox,
  unread,
  children,
}: {
  person: SignedInPerson
  workspace: WorkspaceChoice
  workspaces: readonly WorkspaceChoice[]
  theme: Theme
  isSandbox: boolean
  /** As the page's server counted. */
  unread: number
  children: ReactNode
}) {
  const toast = useToast()
  const notReadyReason = useNotReadyReason()
  const count = useUnreadCount(unread)
  const signOut = async () => {
    try {
      const result = await send('POST', '/signin/sign-out', {}, (body) => text(body, 'next'))
      if (result.ok) {
        // A full load, so that nothing of the signed-in pages stays in memory.
        window.location.assign(result.value)
        return
      }
      toast({ tone: 'danger', title: 'You are still signed in', description: result.error.message })
    } catch {
      toast({ tone: 'danger', title: 'You are still signed in', description: 'The server could not be reached.' })
    }
  }
  const switchWorkspace = async (id: string) => {
    try {
      const result = await send('PUT', '/api/v1/account/workspace', { workspaceId: id }, () => undefined)
      if (result.ok) {
        // Everything on the pages belongs to a workspace, so nothing of the one before is kept.
        window.location.assign('/')
        return
      }
      toast({ tone: 'danger', title: 'The workspace was not changed', description: result.error.message })
    } catch {
      toast({ tone: 'danger', title: 'The workspace was not changed', description: 'The server could not be reached.' })
    }
  }
  return (
    <UnreadProvider onCount={count.set}>
      <AppShell
        person={person}
        workspace={workspace}
        workspaces={workspaces}
        theme={theme}
        isSandbox={isSandbox}
        notReadyReason={notReadyReason}
        unread={count.unread}
        onSwitchWorkspace={(id) => void switchWorkspace(id)}
        onSignOut={() => void signOut()}
      >
        <StepUpProvider>{children}</StepUpProvider>
      </AppShell>
    </UnreadProvider>
  )
}

/** The public reason of `/readyz`, asked now, every minute, and when the page is looked at again. */
function useNotReadyReason(): string | undefined {
  const [reason, setReason] = useState<string>()
  useEffect(() => {
    const controller = new AbortController()
    const ask = async () => {
      if (document.visibilityState === 'hidden') return
      try {
        const response = await fetch('/readyz', { cache: 'no-store', signal: controller.signal })
        const body: unknown = await response.json()
        const isReady = response.ok || !isRecord(body)
        setReason(isReady ? undefined : typeof body['reason'] === 'string' ? body['reason'] : 'no reason given.')
      } catch {
        // An unreachable gateway also serves no pages; whatever is pressed next says so.
      }
    }
    void ask()
    const timer = setInterval(() => void ask(), readinessEveryMs)
    const onVisible = () => void ask()
    document.addEventListener('visibilitychange', onVisible)
    return () => {
      controller.abort()
      clearInterval(timer)
      document.removeEventListener('visibilitychange', onVisible)
    }
  }, [])
  return reason
}
