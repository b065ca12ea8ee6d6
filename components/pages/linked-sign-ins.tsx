'use client'

import { Link2 } from 'lucide-react'

import type { Action } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { ConfirmDialog } from '@/components/ui/alert-dialog'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { EmptyState } from '@/components/ui/empty-state'
import { ErrorState } from '@/components/ui/error-state'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import { Time } from '@/components/ui/time'
import { useAction } from '@/components/use-action'

export interface LinkedSignIn {
  readonly id: string
  /** `google`, `github`, `oidc`. */
  readonly provider: string
  /** What the account is called there. */
  readonly label: string
  readonly lastUsedAt: string
}

const names: Readonly<Record<string, string>> = { google: 'Google', github: 'GitHub', oidc: 'Single sign-on' }
const nameOf = ({ provider }: LinkedSignIn): string => names[provider] ?? provider

/** What could be linked: a provider, or the single sign-on of the workspace. */
export interface LinkableSignIn {
  readonly name: string
  readonly label: string
}

/** Accounts elsewhere by which the person signs in here. */
export function LinkedSignInsCard({
  links,
  linkable = [],
  problem,
  onRetry,
  onLink,
  onUnlink,
}: {
  links: readonly LinkedSignIn[] | 'loading' | 'failed'
  linkable?: readonly LinkableSignIn[]
  /** Why linking came to nothing. */
  problem?: string | undefined
  onRetry: () => void
  onLink: Action<{ name: string }>
  onUnlink: Action<{ id: string }>
}) {
  const link = useAction(onLink)
  const words = link.error?.message ?? problem
  return (
    <Card>
      <CardHeader title="Linked sign-ins" description="Accounts elsewhere that sign you in here." />
      {links === 'loading' ? (
        <Loading label="Loading linked sign-ins">
          <SkeletonRows rows={1} />
        </Loading>
      ) : links === 'failed' ? (
        <ErrorState level={3} className="py-10" action={<Button onClick={onRetry}>Try again</Button>} />
      ) : links.length === 0 ? (
        <EmptyState icon={Link2} level={3} title="None" className="py-10">
          Link one, and it signs you in from then on. Nobody is found by an address.
        </EmptyState>
      ) : (
        <CardBody className="py-2 md:py-2">
          <ul className="divide-y divide-line">
            {links.map((link) => (
              <li key={link.id} className="flex flex-wrap items-center justify-between gap-3 py-3">
                <div className="min-w-0">
                  <p className="font-medium">{nameOf(link)}</p>
                  <p className="text-sm wrap-anywhere text-muted">
                    {link.label} · used <Time at={link.lastUsedAt} />
                  </p>
                </div>
                <ConfirmDialog
                  title={`Unlink ${nameOf(link)}?`}
                  confirmLabel="Unlink"
                  onConfirm={() => onUnlink({ id: link.id })}
                  trigger={
                    <Button size="sm" variant="danger-quiet" aria-label={`Unlink ${nameOf(link)} ${link.label}`}>
                      Unlink
                    </Button>
                  }
                >
                  <p>It signs you in no more, and sessions that came that way end.</p>
                </ConfirmDialog>
              </li>
            ))}
          </ul>
        </CardBody>
      )}
      {linkable.length === 0 && words === undefined ? null : (
        <CardBody className="space-y-3 border-t border-line">
          {words === undefined ? null : <Alert tone="danger" title={words} />}
          <div className="flex flex-wrap gap-2">
            {linkable.map(({ name, label }) => (
              <Button key={name} pending={link.pending} onClick={() => void link.run({ name })}>
                Link {label}
              </Button>
            ))}
          </div>
        </CardBody>
      )}
    </Card>
  )
}
