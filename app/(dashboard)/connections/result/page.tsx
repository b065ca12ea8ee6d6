import type { Metadata } from 'next'
import { notFound } from 'next/navigation'

import { ResultPage, type ShownEnd } from '@/app/(dashboard)/connections/_components/result-page'
import { providerName } from '@/app/_client/providers'
import { findAttempt, type AttemptEnd } from '@/app/_data/attempts'
import { requireViewer } from '@/app/_data/session'
import { ConnectResult } from '@/components/pages/connect-result'

export const metadata: Metadata = { title: 'Connect an account' }

export default async function Result({
  searchParams,
}: {
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const viewer = await requireViewer()
  const { attempt: id, problem } = await searchParams
  if (typeof problem === 'string') {
    return (
      <ConnectResult
        outcome={{ kind: 'failed', provider: '', providerName: 'the provider', message: problemWords(problem) }}
      />
    )
  }
  const attempt = typeof id === 'string' ? await findAttempt(viewer, id) : undefined
  if (attempt === undefined) notFound()
  const name = providerName(attempt.provider)
  return <ResultPage provider={attempt.provider} providerName={name} end={withWords(attempt.end, name)} />
}

function withWords(end: AttemptEnd, name: string): ShownEnd {
  switch (end.kind) {
    case 'expired':
      return { kind: 'failed', message: `Coming back from ${name} took longer than ten minutes. Nothing was stored.` }
    case 'failed':
      return { kind: 'failed', message: failureWords(end.code, name) }
    default:
      return end
  }
}

function problemWords(problem: string): string {
  return problem === 'other_browser'
    ? 'This was begun in another browser or by another person, so it cannot be finished here. Nothing was stored; begin again in this browser.'
    : 'This link is not one of ours, or it was used before. Nothing was stored.'
}

function failureWords(code: string, name: string): string {
  switch (code) {
    case 'provider_unavailable':
      return `${name} did not answer. Nothing was stored; try again in a minute.`
    case 'provider_refused':
      return `${name} refused to go on. Nothing was stored.`
    case 'app_misconfigured':
      return `${name} does not accept this server’s app. Whoever runs the server has to check its settings.`
    case 'answer_not_trusted':
      return `The answer did not prove that it came from ${name} for you, so it was thrown away.`
    case 'code_refused':
      return `${name} did not honour its own answer any more. Try again.`
    case 'answer_lost':
      return `${name} was asked to finish, but its answer was lost. Try again; if the app shows up twice in your ${name} account, remove the older entry.`
    case 'identity_mismatch':
      return `${name} named two different accounts in one answer, so nothing was stored.`
    case 'other_browser':
      return 'This was finished in another browser than it was begun in. Nothing was stored; begin again in this one.'
    case 'wrong_provider':
      return `The answer came from somewhere else than ${name}, so it was thrown away.`
    case 'not_permitted':
      return 'Your role in this workspace no longer allows connecting accounts.'
    default:
      return `${name} and this server did not come to an end. Nothing was stored; try again.`
  }
}
