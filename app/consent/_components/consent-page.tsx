'use client'

import { useCallback, useEffect, useState } from 'react'

import { answerConsent, loadConsent, resumePath, type Consent } from '@/app/_client/consent'
import { send, text } from '@/app/_client/request'
import type { ActionError, ActionResult } from '@/components/action'
import {
  ConsentAsk,
  ConsentFailed,
  ConsentLeaving,
  ConsentLoading,
  ConsentRefused,
  failureTitle,
  refusalTitle,
} from '@/components/pages/consent-request'
import { AuthShell } from '@/components/shell/auth-shell'

type Decision = 'approve' | 'deny'

type State =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: ActionError }
  | { readonly kind: 'ready'; readonly consent: Consent }
  | { readonly kind: 'leaving'; readonly decision: Decision }

const signInPath = (uid: string) => `/login?next=${encodeURIComponent(`/consent/${uid}`)}`

export function ConsentPage({
  uid,
  isSandbox,
  viewer,
}: {
  uid: string
  isSandbox: boolean
  /** Undefined: signed in, and a member of no workspace. */
  viewer: { readonly email: string; readonly workspaceId: string } | undefined
}) {
  const { state, decide, reload } = useConsent(uid)
  const shell = { isSandbox, isWide: true }

  const signOut = async (): Promise<ActionResult> => {
    const answer = await send('POST', '/signin/sign-out', {}, (body) => text(body, 'next'))
    if (!answer.ok) return answer
    // Whoever signs in next in this browser is asked the same question.
    window.location.replace(signInPath(uid))
    return { ok: true }
  }

  switch (state.kind) {
    case 'loading':
      return (
        <AuthShell title="An application asks for an agent" {...shell}>
          <ConsentLoading />
        </AuthShell>
      )
    case 'failed':
      return (
        <AuthShell title={failureTitle(state.error)} isSandbox={isSandbox}>
          <ConsentFailed error={state.error} resumeHref={resumePath(uid)} onRetry={reload} />
        </AuthShell>
      )
    case 'leaving':
      return (
        <AuthShell title="Back to the application" isSandbox={isSandbox}>
          <ConsentLeaving decision={state.decision} />
        </AuthShell>
      )
    case 'ready': {
      const { consent } = state
      const onDeny = () => decide({ decision: 'deny' })
      if (consent.kind === 'refused')
        return (
          <AuthShell title={refusalTitle(consent.reason)} isSandbox={isSandbox}>
            <ConsentRefused
              reason={consent.reason}
              client={consent.client}
              person={viewer?.email}
              onDeny={onDeny}
              onSwitchPerson={signOut}
            />
          </AuthShell>
        )
      const { request, proof, workspaceId } = consent
      return (
        <AuthShell title={`Let “${request.client.name}” use the agent ${request.agent}?`} {...shell}>
          <ConsentAsk
            request={request}
            connectHref={
              viewer?.workspaceId === workspaceId
                ? (provider) => `/connections/new?provider=${encodeURIComponent(provider)}`
                : undefined
            }
            onApprove={() => decide({ decision: 'approve', proof })}
            onDeny={onDeny}
            onSwitchPerson={signOut}
          />
        </AuthShell>
      )
    }
  }
}

function useConsent(uid: string) {
  const [state, setState] = useState<State>({ kind: 'loading' })
  const [attempt, setAttempt] = useState(0)

  useEffect(() => {
    const controller = new AbortController()
    const show = (next: State) => {
      // An answer given meanwhile is the last word.
      if (!controller.signal.aborted) setState((current) => (current.kind === 'leaving' ? current : next))
    }
    const ask = async () => {
      try {
        const result = await loadConsent(uid, controller.signal)
        if (result.ok) show({ kind: 'ready', consent: result.value })
        // Signed out meanwhile: the browser is on its way to the sign-in page.
        else if (result.error.code !== 'auth.unauthenticated') show({ kind: 'failed', error: result.error })
      } catch {
        show({ kind: 'failed', error: { code: 'unreachable', message: 'The server could not be reached.' } })
      }
    }
    void ask()
    return () => controller.abort()
  }, [uid, attempt])

  const isReady = state.kind === 'ready'
  useEffect(() => {
    if (!isReady) return
    // Back from connecting an account in another tab: what is missing may be there now.
    const again = () => {
      if (document.visibilityState === 'visible') setAttempt((count) => count + 1)
    }
    document.addEventListener('visibilitychange', again)
    return () => document.removeEventListener('visibilitychange', again)
  }, [isReady])

  const decide = useCallback(
    async (answer: Parameters<typeof answerConsent>[1]): Promise<ActionResult> => {
      const result = await answerConsent(uid, answer)
      if (result.ok) setState({ kind: 'leaving', decision: answer.decision })
      else if (result.error.code === 'auth.unauthenticated') window.location.assign(signInPath(uid))
      else if (result.error.code === 'resource.not_found' || result.error.code === 'resource.conflict')
        setState({ kind: 'failed', error: result.error })
      // What was shown is not what would be given: the next press is on what is shown then.
      else if (result.error.code === 'auth.forbidden') setAttempt((count) => count + 1)
      return result
    },
    [uid],
  )

  const reload = useCallback(() => {
    setState({ kind: 'loading' })
    setAttempt((count) => count + 1)
  }, [])

  return { state, decide, reload }
}
