'use client'

import { useRouter } from 'next/navigation'

import { useConnectionFacts } from '@/app/(dashboard)/connections/_components/use-connection-facts'
import { scopeLine, useCatalogue } from '@/app/_client/catalogue'
import { startConnect } from '@/app/_client/connect'
import { LiveRefresh } from '@/app/_client/live'
import { flag, maybeNumber } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import type { ActionResult, ValueResult } from '@/components/action'
import { ConnectionDetail, type ConnectionDetailData } from '@/components/pages/connection-detail'
import type { TestResult } from '@/components/pages/connection-types'
import { useToast } from '@/components/ui/toast'

export type ConnectionPageData = Omit<ConnectionDetailData, 'scopes' | 'missingScopeCount' | 'isSandbox' | 'traps'> & {
  readonly grantedScopes: readonly string[]
}

export function ConnectionPage({
  connection,
  canReconnect,
  canDisconnect,
  canTest,
  isShared,
  canChangeSharing,
}: {
  connection: ConnectionPageData
  canReconnect: boolean
  canDisconnect: boolean
  canTest: boolean
  isShared: boolean
  canChangeSharing: boolean
}) {
  const router = useRouter()
  const toast = useToast()
  const state = useCatalogue()
  const facts = useConnectionFacts(connection)?.get(connection.id)
  const { grantedScopes, ...shown } = connection
  const catalogue = state.kind === 'ready' ? state.catalogue : undefined
  const words = (scope: string) => scopeLine(catalogue, connection.provider, scope)
  const missing = facts?.missingScopes ?? []

  const disconnect = async (): Promise<ActionResult> => {
    const result = await send('DELETE', `/api/v1/connections/${connection.id}`, {}, () => undefined)
    if (!result.ok) return result
    toast({
      tone: 'success',
      title: `${connection.account} is disconnected`,
      description: 'No agent can use it any more, and the stored credential is destroyed.',
    })
    router.push('/connections')
    router.refresh()
    return result
  }

  const test = async (): Promise<ValueResult<TestResult>> => {
    const result = await send('POST', `/api/v1/connections/${connection.id}/test`, {}, parseTest)
    // Its renewal, and what it found out, are in the history now.
    router.refresh()
    return result
  }

  return (
    <>
      <LiveRefresh watch={`/api/v1/connections/${connection.id}`} />
      <ConnectionDetail
        connection={{
          ...shown,
          missingScopeCount: missing.length,
          isSandbox: facts?.isSandbox ?? false,
          traps: facts?.traps,
          scopes:
            state.kind === 'loading' ? undefined : { granted: grantedScopes.map(words), missing: missing.map(words) },
        }}
        canReconnect={canReconnect}
        canDisconnect={canDisconnect}
        canTest={canTest}
        isShared={isShared}
        canChangeSharing={canChangeSharing}
        onReconnect={() => startConnect(connection.provider, { connectionId: connection.id })}
        onDisconnect={disconnect}
        onTest={test}
        onShare={async ({ isShared: next }) => {
          const body = { sharing: next ? 'workspace' : 'personal' }
          const result = await send('PATCH', `/api/v1/connections/${connection.id}`, body, () => undefined)
          if (result.ok) router.refresh()
          return result
        }}
      />
    </>
  )
}

function parseTest(body: unknown): TestResult {
  const failure = isRecord(body) && body['failure'] !== null ? body['failure'] : undefined
  const action = failure === undefined ? '' : text(failure, 'action')
  return {
    isWorking: flag(body, 'ok'),
    latencyMs: maybeNumber(body, 'latencyMs') ?? undefined,
    isRenewed: flag(body, 'refreshed'),
    failure:
      failure === undefined
        ? undefined
        : { words: text(failure, 'words'), action: action === 'reconnect' || action === 'operator' ? action : 'wait' },
  }
}
