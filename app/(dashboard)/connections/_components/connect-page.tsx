'use client'

import { scopeLine, useCatalogue } from '@/app/_client/catalogue'
import { startConnect } from '@/app/_client/connect'
import { providerSummary } from '@/app/_client/providers'
import { ConnectProvider } from '@/components/pages/connect-provider'
import { FormPageSkeleton } from '@/components/pages/skeletons'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { ErrorState } from '@/components/ui/error-state'

export function ConnectPage({
  workspaceName,
  accounts,
  initialProvider,
  canConnect,
}: {
  workspaceName: string
  accounts: readonly { readonly provider: string; readonly account: string }[]
  initialProvider: string | undefined
  canConnect: boolean
}) {
  const state = useCatalogue()
  if (state.kind === 'loading') return <FormPageSkeleton label="Loading providers" />
  if (state.kind === 'failed') {
    return (
      <Card>
        <ErrorState
          level={1}
          title="The providers could not be loaded"
          action={<Button onClick={state.retry}>Try again</Button>}
        >
          {state.message}
        </ErrorState>
      </Card>
    )
  }
  const { catalogue } = state
  return (
    <ConnectProvider
      workspaceName={workspaceName}
      initialProvider={initialProvider}
      canConnect={canConnect}
      providers={catalogue.providers.map((provider) => ({
        id: provider.name,
        name: provider.displayName,
        summary: providerSummary(provider.name),
        isSandbox: provider.isSandbox,
        unavailableReason: provider.isConfigured ? undefined : 'No app is set up on this server.',
        connectedAccounts: accounts.filter((one) => one.provider === provider.name).map((one) => one.account),
        scopes: provider.scopes.map((scope) => ({
          ...scopeLine(catalogue, provider.name, scope.name),
          isRequired: scope.isRequired,
        })),
      }))}
      onConnect={({ provider, scopes }) => startConnect(provider, { scopes })}
    />
  )
}
