'use client'

/**
 * The dialog that any write opens when the gateway wants to know again who is asking. The write waits for the answer and
 * is sent once more; whoever closes the dialog gets the refusal as it was.
 *
 * @module
 */
import { useCallback, useEffect, useRef, useState } from 'react'
import type { ReactNode } from 'react'

import type { ActionError, ActionResult } from '@/components/action'
import { ProofForm, type Proof, type ProofMethod } from '@/components/pages/proof-form'
import { Alert } from '@/components/ui/alert'
import { Dialog, DialogContent } from '@/components/ui/dialog'
import { Spinner } from '@/components/ui/spinner'

import { loadProofMethods, proofBody } from './proof'
import { onStepUpRequired, sendOnce, text } from './request'

type Methods =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly methods: readonly ProofMethod[] }
  | { readonly kind: 'failed'; readonly error: ActionError }

export function StepUpProvider({ children }: { children: ReactNode }) {
  const [isOpen, setOpen] = useState(false)
  const settle = useRef<(isProven: boolean) => void>(undefined)

  useEffect(
    () =>
      onStepUpRequired(
        () =>
          new Promise<boolean>((resolve) => {
            settle.current = resolve
            setOpen(true)
          }),
      ),
    [],
  )
  const end = useCallback((isProven: boolean) => {
    setOpen(false)
    settle.current?.(isProven)
    settle.current = undefined
  }, [])

  return (
    <>
      {children}
      <Dialog open={isOpen} onOpenChange={(next) => (next ? undefined : end(false))}>
        {isOpen ? (
          <DialogContent
            title="Confirm that it is you"
            description="What you are about to do gives access. You are asked again after five minutes."
            className="md:max-w-md"
          >
            <StepUpProof onProven={() => end(true)} />
          </DialogContent>
        ) : null}
      </Dialog>
    </>
  )
}

function StepUpProof({ onProven }: { onProven: () => void }) {
  const [methods, setMethods] = useState<Methods>({ kind: 'loading' })
  useEffect(() => {
    let isGone = false
    const ask = async () => {
      const next = await loadMethods()
      if (!isGone) setMethods(next)
    }
    void ask()
    return () => {
      isGone = true
    }
  }, [])

  if (methods.kind === 'loading')
    return (
      <p role="status" className="flex items-center justify-center gap-2 py-6 text-sm text-muted">
        <Spinner /> One moment …
      </p>
    )
  if (methods.kind === 'failed') return <Alert tone="danger" title={methods.error.message} />
  return (
    <ProofForm
      methods={methods.methods}
      submitLabel="Confirm"
      onSignIn={() => void signInAgain()}
      onProof={async (proof) => {
        const result = await prove(proof)
        if (result.ok) onProven()
        return result
      }}
    />
  )
}

async function loadMethods(): Promise<Methods> {
  try {
    const answer = await loadProofMethods('/signin/step-up')
    return answer.ok ? { kind: 'ready', methods: answer.value } : { kind: 'failed', error: answer.error }
  } catch {
    return { kind: 'failed', error: { code: 'network.unreachable', message: 'The server could not be reached.' } }
  }
}

async function prove(proof: Proof): Promise<ActionResult> {
  const body = await proofBody('/signin/step-up', proof)
  if (!body.ok) return body
  const answer = await sendOnce('POST', '/signin/step-up', body.value, () => undefined)
  return answer.ok ? { ok: true } : answer
}

/** Leads back to this page. The session before ends first: the sign-in page sends whoever is signed in away. */
async function signInAgain(): Promise<void> {
  const here = `${window.location.pathname}${window.location.search}`
  await sendOnce('POST', '/signin/sign-out', {}, (body) => text(body, 'next'))
  window.location.assign(`/login?next=${encodeURIComponent(here)}`)
}
