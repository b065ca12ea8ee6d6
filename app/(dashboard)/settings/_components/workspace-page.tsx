'use client'

import { useRouter } from 'next/navigation'

import { useCatalogue } from '@/app/_client/catalogue'
import { WebhooksSection } from '@/app/(dashboard)/settings/_components/webhooks-section'
import { LiveRefresh } from '@/app/_client/live'
import { send } from '@/app/_client/request'
import { WorkspaceSettings, type Member } from '@/components/pages/workspace-settings'

export function WorkspacePage({
  name,
  canRename,
  canManageWebhooks,
  agentsSeeOwnerNames,
  members,
}: {
  name: string
  canRename: boolean
  canManageWebhooks: boolean
  agentsSeeOwnerNames: boolean
  members: readonly Member[]
}) {
  const router = useRouter()
  const state = useCatalogue()
  return (
    <>
      <LiveRefresh watch="/api/v1/members" everyMs={10_000} />
      <WorkspaceSettings
        name={name}
        canRename={canRename}
        members={members}
        agentsSeeOwnerNames={agentsSeeOwnerNames}
        webhooks={canManageWebhooks ? <WebhooksSection /> : undefined}
        onShowNames={async (change) => {
          const result = await send('PATCH', '/api/v1/workspace', change, () => undefined)
          if (result.ok) router.refresh()
          return result
        }}
        providerApps={
          state.kind === 'ready'
            ? state.catalogue.providers.map((provider) => ({
                provider: provider.name,
                name: provider.displayName,
                status: !provider.isConfigured ? 'not_configured' : provider.isSandbox ? 'sandbox' : 'ready',
                redirectUri: provider.redirectUri,
              }))
            : state.kind
        }
        onRetryProviders={state.kind === 'failed' ? state.retry : undefined}
        onRename={async ({ name: wanted }) => {
          const result = await send('PATCH', '/api/v1/workspace', { name: wanted }, () => undefined)
          if (result.ok) router.refresh()
          return result
        }}
      />
    </>
  )
}
