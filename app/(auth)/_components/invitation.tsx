'use client'

import Link from 'next/link'
import { useEffect, useState } from 'react'

import { signInWith } from '@/app/(auth)/_components/finish-sign-in'
import { SignOutButton } from '@/app/(auth)/_components/sign-out-button'
import { useFragment } from '@/app/(auth)/_components/use-fragment'
import { flag } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import type { ActionResult } from '@/components/action'
import { InvitationView } from '@/components/pages/invitation-view'
import type { ShownInvitation } from '@/components/pages/invitation-view'
import { LinkUnusable } from '@/components/pages/link-confirm'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Loading, Skeleton } from '@/components/ui/skeleton'

type State =
  | { readonly kind: 'unusable' }
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'open'; readonly secret: string; readonly invitation: ShownInvitation }

/** The page behind an invitation. Opening it changes nothing, because mail scanners open every link. */
export function Invitation() {
  const secret = useFragment()
  const [asked, setAsked] = useState<{ readonly secret: string; readonly state: State }>()
  const [mailFolder, setMailFolder] = useState<string>()

  useEffect(() => {
    if (secret === undefined || secret === '') return
    let isCurrent = true
    void ask(secret).then((state) => {
      if (isCurrent) setAsked({ secret, state })
    })
    return () => {
      isCurrent = false
    }
  }, [secret])

  if (secret === '') return <Unusable />
  if (secret === undefined || asked?.secret !== secret)
    return (
      <Loading label="Looking at the invitation…">
        <div className="space-y-4">
          <Skeleton className="h-4 w-4/5" />
          <Skeleton className="h-11 w-full" />
        </div>
      </Loading>
    )
  const { state } = asked
  if (state.kind === 'unreachable')
    return <Alert tone="danger" title="The server could not answer. Load the page again in a moment." />
  if (state.kind === 'unusable') return <Unusable />
  return (
    <InvitationView
      invitation={state.invitation}
      mailFolder={mailFolder}
      signIn={
        <Button asChild variant="primary" size="lg" block>
          <Link href="/login">Sign in</Link>
        </Button>
      }
      signOut={<SignOutButton />}
      onAccept={async (): Promise<ActionResult> => {
        const answer = await send('POST', '/signin/invitation/accept', { secret }, (body) => text(body, 'next'))
        if (!answer.ok) return answer
        // Loaded anew, so that nothing of another workspace stays in memory.
        window.location.replace(answer.value)
        return { ok: true }
      }}
      onJoin={(input) => signInWith('/signin/invitation/join', { secret, ...input })}
      onMail={async (): Promise<ActionResult> => {
        const answer = await send('POST', '/signin/invitation/mail', { secret }, (body) =>
          isRecord(body) && typeof body['mailFolder'] === 'string' ? body['mailFolder'] : undefined,
        )
        if (!answer.ok) return answer
        setMailFolder(answer.value)
        return { ok: true }
      }}
    />
  )
}

const Unusable = () => <LinkUnusable retryHref="/login" retryLabel="Go to the sign-in page" />

async function ask(secret: string): Promise<State> {
  try {
    const answer = await send('POST', '/signin/invitation', { secret }, parse)
    if (answer.ok) return { kind: 'open', secret, invitation: answer.value }
    return { kind: answer.error.code === 'auth.link_invalid' ? 'unusable' : 'unreachable' }
  } catch {
    return { kind: 'unreachable' }
  }
}

function parse(body: unknown): ShownInvitation {
  const viewer = isRecord(body) ? body['viewer'] : undefined
  const isMailed = flag(body, 'isMailed')
  return {
    workspace: text(body, 'workspace'),
    role: text(body, 'role'),
    email: text(body, 'email'),
    inviter: text(body, 'inviter'),
    isMailed,
    hasAccount: isMailed ? flag(body, 'hasAccount') : undefined,
    viewerEmail: isRecord(viewer) ? text(viewer, 'email') : undefined,
  }
}
