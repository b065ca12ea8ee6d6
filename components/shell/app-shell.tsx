'use client'

import { LogOut, UserRound } from 'lucide-react'
import Link from 'next/link'
import type { ReactNode } from 'react'

import { NotReadyBanner, SandboxBanner } from '@/components/shell/banner'
import { NotificationBell, unreadWords } from '@/components/shell/bell'
import { BottomNav } from '@/components/shell/bottom-nav'
import { BrandMark } from '@/components/shell/brand'
import { Sidebar } from '@/components/shell/sidebar'
import { UserMenu, accountHref } from '@/components/shell/user-menu'
import type { SignedInPerson } from '@/components/shell/user-menu'
import { WorkspaceList, WorkspaceSwitcher } from '@/components/shell/workspace-switcher'
import type { WorkspaceChoice } from '@/components/shell/workspace-switcher'
import type { Theme } from '@/components/theme'
import { Avatar } from '@/components/ui/avatar'
import { Button } from '@/components/ui/button'
import { SkipLink } from '@/components/ui/skip-link'
import { ThemeToggle } from '@/components/ui/theme-toggle'

export interface AppShellProps {
  readonly person: SignedInPerson
  readonly workspace: WorkspaceChoice
  readonly workspaces: readonly WorkspaceChoice[]
  readonly theme: Theme
  readonly isSandbox: boolean
  /** Public reason why the gateway is not ready; undefined when it is. */
  readonly notReadyReason?: string | undefined
  /** How many notifications the person has not read. */
  readonly unread?: number | undefined
  readonly onSwitchWorkspace?: ((id: string) => void) | undefined
  readonly onSignOut: () => void
  readonly children: ReactNode
}

/** The frame around every signed-in page. */
export function AppShell({
  person,
  workspace,
  workspaces,
  theme,
  isSandbox,
  notReadyReason,
  unread = 0,
  onSwitchWorkspace,
  onSignOut,
  children,
}: AppShellProps) {
  return (
    <div className="flex min-h-dvh">
      <SkipLink />
      {/* Said once when the number changes, whichever of the two bells is in sight. */}
      <p role="status" aria-live="polite" className="sr-only">
        {unread === 0 ? '' : unreadWords(unread)}
      </p>
      <Sidebar
        switcher={<WorkspaceSwitcher current={workspace} workspaces={workspaces} onSwitch={onSwitchWorkspace} />}
        bell={<NotificationBell unread={unread} className="md:size-9" />}
        footer={
          <div className="space-y-2">
            <ThemeToggle theme={theme} className="flex" />
            <UserMenu person={person} onSignOut={onSignOut} />
          </div>
        }
      />
      <div className="flex min-w-0 flex-1 flex-col">
        {isSandbox ? <SandboxBanner /> : null}
        {notReadyReason === undefined ? null : <NotReadyBanner reason={notReadyReason} />}
        <header className="sticky top-0 z-20 flex h-14 items-center gap-3 border-b border-line bg-surface px-4 lg:hidden">
          <Link href="/" aria-label="Portcullis, home" className="grid size-10 place-items-center rounded-md">
            <BrandMark />
          </Link>
          <p className="min-w-0 flex-1 truncate text-sm font-medium">
            <span className="sr-only">Workspace: </span>
            {workspace.name}
          </p>
          <NotificationBell unread={unread} />
          <Link href={accountHref} aria-label="Your account" className="grid size-10 place-items-center rounded-full">
            <Avatar name={person.name} />
          </Link>
        </header>
        <main
          id="main"
          tabIndex={-1}
          className="mx-auto w-full max-w-6xl flex-1 px-4 pt-6 pb-28 outline-none lg:px-10 lg:pt-10 lg:pb-16"
        >
          {children}
        </main>
      </div>
      <BottomNav
        sheet={
          <div className="space-y-4 border-t border-line pt-4">
            <WorkspaceList current={workspace} workspaces={workspaces} onSwitch={onSwitchWorkspace} />
            <div className="flex items-center justify-between gap-4 px-3">
              <span className="text-sm text-muted">Theme</span>
              <ThemeToggle theme={theme} />
            </div>
            <div className="flex items-center gap-3 px-3">
              <Avatar name={person.name} />
              <div className="min-w-0 flex-1 leading-tight">
                <p className="truncate text-sm font-medium">{person.name}</p>
                <p className="truncate text-xs text-muted">{person.email}</p>
              </div>
            </div>
            <div className="grid grid-cols-2 gap-2 px-3">
              <Button asChild>
                <Link href={accountHref}>
                  <UserRound aria-hidden /> Account
                </Link>
              </Button>
              <Button onClick={onSignOut}>
                <LogOut aria-hidden /> Sign out
              </Button>
            </div>
          </div>
        }
      />
    </div>
  )
}
