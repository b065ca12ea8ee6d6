import { expect, it } from 'vitest'

import { toActivityRow, type ActivityItem } from '@/app/_client/activity-row'
import { reasonWords } from '@/app/_client/reasons'

const call: ActivityItem = {
  id: 'aud_1',
  kind: 'call',
  title: 'A tool was called',
  at: '2026-11-21T10:00:00.000Z',
  actor: 'Dispatch bot',
  actorKind: 'agent',
  agentId: 'agt_1',
  connectionLabel: 'ann@example.com',
  tool: 'gmail_search_messages',
  decision: 'deny',
  outcome: 'denied',
  reason: 'not_in_profile',
  durationMs: null,
}

it('shows a call by its tool, its provider and the words of its reason, with a way to the agent', () => {
  expect(toActivityRow(call)).toEqual({
    id: 'aud_1',
    kind: 'call',
    at: '2026-11-21T10:00:00.000Z',
    action: 'gmail_search_messages',
    provider: 'google',
    account: 'ann@example.com',
    actor: 'Dispatch bot',
    actorHref: '/agents/agt_1',
    decision: 'deny',
    outcome: 'denied',
    reason: 'Not among the tools of this agent',
    durationMs: undefined,
  })
})

it('shows an event by its title, and no decision where nobody was asked', () => {
  const row = toActivityRow({
    ...call,
    kind: 'event',
    tool: null,
    title: 'Signed in',
    actorKind: 'person',
    decision: null,
  })
  expect([row.action, row.decision, row.provider, row.actorHref]).toEqual([
    'Signed in',
    undefined,
    undefined,
    undefined,
  ])
})

it('does not believe words that are no decision and no outcome', () => {
  const row = toActivityRow({ ...call, decision: 'allow', outcome: 'fine' })
  expect([row.decision, row.outcome]).toEqual([undefined, undefined])
})

it('shows a code it does not know rather than hiding it', () => {
  expect(reasonWords('some_new.reason')).toBe('Some new reason')
  expect(reasonWords('constructor')).toBe('Constructor')
})
