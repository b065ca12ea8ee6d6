'use client'

import { useRouter } from 'next/navigation'

import { useCatalogue } from '@/app/_client/catalogue'
import { WebhooksSection } from '@/app/(dashboard)/settings/_components/webhooks-section'
import { send } from '@/app/_client/request'
import { WorkspaceSettings, type Lifetimes } from '@/components/pages/workspace-settings'

export function WorkspacePage({
  name,
  canRename,
  canManageWebhooks,
  agentsSeeOwnerNames,
  lifetimes,
  canDelete,
}: {
  name: string
  canRename: boolean
  canManageWebhooks: boolean
  agentsSeeOwnerNames: boolean
  lifetimes: Lifetimes
  canDelete: boolean
}) {
  const router = useRouter()
  const state = useCatalogue()
  const change = async (wanted: Readonly<Record<string, unknown>>) => {
    const result = await send('PATCH', '/api/v1/workspace', wanted, () => undefined)
    if (result.ok) router.refresh()
    return result
  }
  return (
    <WorkspaceSettings
      name={name}
      canRename={canRename}
      lifetimes={lifetimes}
      canDelete={canDelete}
      onLifetimes={(wanted) => change({ ...wanted })}
      onDelete={async () => {
        const result = await send('DELETE', '/api/v1/workspace', { confirmation: name }, () => undefined)
        // Everything on the pages belonged to it.
        if (result.ok) window.location.assign('/')
        return result
      }}
      agentsSeeOwnerNames={agentsSeeOwnerNames}
      webhooks={canManageWebhooks ? <WebhooksSection /> : undefined}
      onShowNames={change}
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
      onRename={change}
    />
  )
}
