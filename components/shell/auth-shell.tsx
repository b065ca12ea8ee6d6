import type { ReactNode } from 'react'

import { cn } from '@/components/cn'
import { SandboxBanner } from '@/components/shell/banner'
import { Brand } from '@/components/shell/brand'
import { SkipLink } from '@/components/ui/skip-link'

/** The frame around pages for people who are not signed in: one card, nothing else to do. */
export function AuthShell({
  title,
  description,
  children,
  footer,
  isSandbox = false,
  isWide = false,
}: {
  title: string
  description?: ReactNode
  children?: ReactNode
  footer?: ReactNode
  isSandbox?: boolean
  /** For what has to be read, not filled in. */
  isWide?: boolean
}) {
  return (
    <div className="flex min-h-dvh flex-col">
      <SkipLink />
      {isSandbox ? <SandboxBanner /> : null}
      <main
        id="main"
        tabIndex={-1}
        className="flex flex-1 flex-col items-center justify-start px-4 pt-12 pb-12 outline-none sm:justify-center sm:pt-6"
      >
        <Brand className="mb-6 text-lg" />
        <div
          className={cn(
            'w-full rounded-xl border border-line bg-surface p-5 shadow-card sm:p-8',
            isWide ? 'max-w-xl' : 'max-w-md',
          )}
        >
          <h1 className="text-xl font-semibold tracking-tight text-balance wrap-anywhere">{title}</h1>
          {description === undefined ? null : <div className="mt-1.5 text-pretty text-muted">{description}</div>}
          {children === undefined ? null : <div className="mt-6">{children}</div>}
        </div>
        {footer === undefined ? null : <div className="mt-5 text-center text-sm text-muted">{footer}</div>}
      </main>
    </div>
  )
}
