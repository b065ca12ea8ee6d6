'use client'

import Link from 'next/link'
import type { ReactNode } from 'react'

import type { ActionResult } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { useAction } from '@/components/use-action'

/**
 * The page behind a link from a mail. Opening it changes nothing, because mail scanners open every link; the press does.
 */
function LinkConfirm({
  children,
  label,
  onConfirm,
  retryHref,
  retryLabel,
}: {
  children: ReactNode
  label: string
  onConfirm: () => Promise<ActionResult>
  retryHref: string
  retryLabel: string
}) {
  const action = useAction<undefined, { readonly ok: true }>(onConfirm)
  return (
    <form
      method="post"
      className="space-y-4"
      onSubmit={(event) => {
        event.preventDefault()
        void action.run(undefined)
      }}
    >
      <div className="text-pretty text-muted">{children}</div>
      {action.error === undefined ? null : (
        <Alert
          tone="danger"
          title={action.error.message}
          action={
            <Button size="sm" asChild>
              <Link href={retryHref}>{retryLabel}</Link>
            </Button>
          }
        />
      )}
      <Button type="submit" variant="primary" size="lg" block pending={action.pending}>
        {label}
      </Button>
    </form>
  )
}

export function MagicLinkConfirm({ onConfirm }: { onConfirm: () => Promise<ActionResult> }) {
  return (
    <LinkConfirm label="Sign in" onConfirm={onConfirm} retryHref="/login" retryLabel="Ask for a new link">
      You asked for a link to sign in. It works once, in the browser that asked for it.
    </LinkConfirm>
  )
}

export function VerifyEmailConfirm({ email, onConfirm }: { email?: string; onConfirm: () => Promise<ActionResult> }) {
  return (
    <LinkConfirm
      label="Confirm address"
      onConfirm={onConfirm}
      retryHref="/settings/account"
      retryLabel="Ask for a new link"
    >
      {email === undefined ? (
        'Confirm that this address is yours.'
      ) : (
        <>
          Confirm that <strong className="font-medium wrap-anywhere text-ink">{email}</strong> is yours.
        </>
      )}{' '}
      If you did not ask for this, close the page; nothing changes.
    </LinkConfirm>
  )
}

/** A link that was used, is too old or never existed: one answer for all three. */
export function LinkUnusable({ retryHref, retryLabel }: { retryHref: string; retryLabel: string }) {
  return (
    <div className="space-y-4">
      <p className="text-pretty text-muted">
        Links from mails work once and only for a short time. This one was used, or is too old, or was cut off by the
        mail program.
      </p>
      <Button asChild variant="primary" size="lg" block>
        <Link href={retryHref}>{retryLabel}</Link>
      </Button>
    </div>
  )
}
