'use client'

import { useState } from 'react'

import { useWhileVisible } from '@/app/_client/live'
import { flag, items, load, maybeNumber, maybeText } from '@/app/_client/load'
import { isRecord, text } from '@/app/_client/request'
import { AgentDoctor, type DoctorDiagnosis, type DoctorStep } from '@/components/pages/agent-doctor'
import { Alert } from '@/components/ui/alert'
import { Card } from '@/components/ui/card'
import { ErrorState } from '@/components/ui/error-state'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'

const everyMs = 2_000

interface Report {
  readonly diagnosis: DoctorDiagnosis
  readonly steps: readonly DoctorStep[]
}

/** Read again every two seconds while it is looked at: a client that is being set up is seen as it tries. */
export function DoctorTab({ agentId }: { agentId: string }) {
  const [report, setReport] = useState<Report>()
  const [failure, setFailure] = useState<string>()
  useWhileVisible(async (signal) => {
    try {
      const result = await load(`/api/v1/agents/${agentId}/doctor`, parseReport, signal)
      if (result.ok) setReport(result.value)
      setFailure(result.ok ? undefined : result.error.message)
      return result.ok
    } catch (error) {
      if (!signal.aborted) setFailure('The server could not be reached.')
      throw error
    }
  }, everyMs)
  if (report === undefined)
    return (
      <Card>
        {failure === undefined ? (
          <Loading label="Looking at what clients did">
            <SkeletonRows rows={5} />
          </Loading>
        ) : (
          <ErrorState title="What clients did could not be loaded">{failure} It is tried again by itself.</ErrorState>
        )}
      </Card>
    )
  return (
    <>
      {failure === undefined ? null : (
        <Alert tone="warning" title="What is shown here may be old" className="mb-4">
          {failure} It is tried again by itself.
        </Alert>
      )}
      <AgentDoctor agentId={agentId} {...report} />
    </>
  )
}

function parseReport(body: unknown): Report {
  const steps = isRecord(body) ? body['steps'] : undefined
  const diagnosis = isRecord(body) ? body['diagnosis'] : undefined
  const state = text(diagnosis, 'state')
  return {
    diagnosis: { ...parseWords(diagnosis), state: STATES.find((one) => one === state) ?? 'waiting' },
    steps: items({ items: steps }, (step) => ({
      id: text(step, 'id'),
      at: text(step, 'lastAt'),
      repeats: maybeNumber(step, 'repeats') ?? 0,
      title: text(step, 'title'),
      status: maybeNumber(step, 'status') ?? 0,
      isRefused: maybeText(step, 'problem') !== null,
      isHarmless: flag(step, 'isHarmless'),
      words: isRecord(step['words']) ? parseWords(step['words']) : undefined,
      client: maybeText(step, 'client') ?? undefined,
      network: text(step, 'network'),
      facts: items({ items: step['facts'] }, (fact) => ({ label: text(fact, 'label'), value: text(fact, 'value') })),
    })),
  }
}
const STATES = ['nobody', 'connected', 'waiting', 'failed'] as const

const parseWords = (value: unknown) => ({
  title: text(value, 'title'),
  meaning: text(value, 'meaning'),
  advice: text(value, 'advice'),
})
