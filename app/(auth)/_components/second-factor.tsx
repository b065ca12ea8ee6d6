'use client'

import Link from 'next/link'
import { useEffect, useState } from 'react'

import { redeemTicket, signInWith } from '@/app/(auth)/_components/finish-sign-in'
import { loadProofMethods, proofBody } from '@/app/_client/proof'
import type { ActionError } from '@/components/action'
import { ProofForm, type ProofMethod } from '@/components/pages/proof-form'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Spinner } from '@/components/ui/spinner'

type State =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly methods: readonly ProofMethod[] }
  | { readonly kind: 'failed'; readonly error: ActionError }

export function SecondFactor({ next }: { next: string }) {
  const [state, setState] = useState<State>({ kind: 'loading' })
  const signInPath = `/login?next=${encodeURIComponent(next)}`

  useEffect(() => {
    let isGone = false
    const ask = async () => {
      try {
        let answer = await loadProofMethods('/signin/second-factor')
        // Back from another site: its ticket is not redeemed yet.
        if (!answer.ok && answer.error.code === 'auth.unauthenticated' && (await redeemTicket()))
          answer = await loadProofMethods('/signin/second-factor')
        if (isGone) return
        if (answer.ok) setState({ kind: 'ready', methods: answer.value })
        // Too late, or nobody gave a password here: it begins at the beginning.
        else if (answer.error.code === 'auth.unauthenticated') window.location.replace(signInPath)
        else setState({ kind: 'failed', error: answer.error })
      } catch {
        if (!isGone)
          setState({ kind: 'failed', error: { code: 'unreachable', message: 'The server could not be reached.' } })
      }
    }
    void ask()
    return () => {
      isGone = true
    }
  }, [signInPath])

  if (state.kind === 'loading')
    return (
      <p role="status" className="flex items-center justify-center gap-2 py-6 text-sm text-muted">
        <Spinner /> One moment …
      </p>
    )
  if (state.kind === 'failed')
    return (
      <Alert
        tone="danger"
        title={state.error.message}
        action={
          <Button size="sm" asChild>
            <Link href={signInPath}>Sign in again</Link>
          </Button>
        }
      />
    )
  return (
    <ProofForm
      methods={state.methods}
      submitLabel="Sign in"
      onSignIn={() => window.location.assign(signInPath)}
      onProof={async (proof) => {
        const body = await proofBody('/signin/second-factor', proof)
        return body.ok ? signInWith('/signin/second-factor', { ...body.value, next }) : body
      }}
    />
  )
}
