/**
 * How connecting an account ended, for the person who started it and nobody else.
 *
 * @module
 */
import 'server-only'

import { isId } from '@/lib/ids'

import type { Viewer } from './session'
import { web } from './web'

export type AttemptEnd =
  | { readonly kind: 'pending' }
  | { readonly kind: 'connected'; readonly connectionId: string; readonly account: string }
  | {
      readonly kind: 'partial'
      readonly connectionId: string
      readonly account: string
      readonly missing: readonly string[]
    }
  | { readonly kind: 'refused' }
  | { readonly kind: 'expired' }
  | {
      readonly kind: 'other_account'
      readonly connectionId: string
      readonly expectedAccount: string
      readonly givenAccount: string
    }
  | { readonly kind: 'failed'; readonly code: string; readonly isRetryable: boolean }

export interface Attempt {
  readonly id: string
  readonly provider: string
  readonly end: AttemptEnd
}

/** @returns undefined for a missing, a foreign and somebody else's attempt alike */
export async function findAttempt({ tenantId, personId }: Viewer, attemptId: string): Promise<Attempt | undefined> {
  if (!isId('connectAttempt', attemptId)) return undefined
  const row = await web().db.tenant(tenantId, (tx) =>
    tx.connectAttempt.findFirst({
      where: { tenantId, id: attemptId, personId },
      select: { id: true, provider: true, outcome: true, outcomeDetail: true },
    }),
  )
  return row === null ? undefined : { id: row.id, provider: row.provider, end: readEnd(row.outcome, row.outcomeDetail) }
}

/** Reads what the flow wrote. What is not understood is a failure that may be tried again. */
export function readEnd(outcome: string | null, detail: unknown): AttemptEnd {
  const fields: Readonly<Record<string, unknown>> = typeof detail === 'object' && detail !== null ? { ...detail } : {}
  const text = (name: string) => (typeof fields[name] === 'string' ? fields[name] : '')
  switch (outcome) {
    case null:
      return { kind: 'pending' }
    case 'connected':
      return { kind: 'connected', connectionId: text('connectionId'), account: text('account') }
    case 'partial': {
      const missing: unknown = fields['missing']
      return {
        kind: 'partial',
        connectionId: text('connectionId'),
        account: text('account'),
        missing: Array.isArray(missing) ? missing.filter((one) => typeof one === 'string') : [],
      }
    }
    case 'refused':
      return { kind: 'refused' }
    case 'expired':
      return { kind: 'expired' }
    case 'other_account':
      return {
        kind: 'other_account',
        connectionId: text('connectionId'),
        expectedAccount: text('expectedAccount'),
        givenAccount: text('givenAccount'),
      }
    default:
      return { kind: 'failed', code: text('code'), isRetryable: fields['retryable'] !== false }
  }
}
