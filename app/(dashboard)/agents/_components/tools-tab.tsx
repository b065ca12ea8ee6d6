'use client'

import { useRouter } from 'next/navigation'
import { useTransition } from 'react'

import { useConnectionFacts } from '@/app/(dashboard)/connections/_components/use-connection-facts'
import { useCatalogue, type CatalogueTool } from '@/app/_client/catalogue'
import { send } from '@/app/_client/request'
import { AgentTools } from '@/components/pages/agent-tools'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { ErrorState } from '@/components/ui/error-state'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'

export interface OwnAccount {
  readonly id: string
  readonly provider: string
  readonly account: string
}

export function ToolsTab({
  agentId,
  allowed,
  profileVersion,
  accounts,
  canManage,
}: {
  agentId: string
  /** As the stored profile says, names that this version no longer knows included. */
  allowed: readonly string[]
  profileVersion: number
  accounts: readonly OwnAccount[]
  canManage: boolean
}) {
  const router = useRouter()
  const [, startTransition] = useTransition()
  const state = useCatalogue()
  const facts = useConnectionFacts(accounts)
  if (state.kind === 'loading') {
    return (
      <Loading label="Loading tools">
        <Card>
          <SkeletonRows rows={6} />
        </Card>
      </Loading>
    )
  }
  if (state.kind === 'failed') {
    return (
      <Card>
        <ErrorState title="The tools could not be loaded" action={<Button onClick={state.retry}>Try again</Button>}>
          {state.message}
        </ErrorState>
      </Card>
    )
  }
  const { providers, tools } = state.catalogue
  const isAllowed = new Set(allowed)

  /** Why the person's own accounts would not carry the tool; an agent of theirs then does not see it. */
  const blockedReason = (tool: CatalogueTool): string | undefined => {
    const own = accounts.filter(({ provider }) => provider === tool.provider)
    if (own.length === 0 || facts === undefined) return undefined
    const lacks = own.every((account) => {
      const missing = facts.get(account.id)?.missingScopes ?? []
      return tool.scopes.length > 0 && tool.scopes.every((set) => set.some((scope) => missing.includes(scope)))
    })
    return lacks ? 'a permission was not granted. Reconnect the account and tick it.' : undefined
  }

  return (
    <AgentTools
      profileVersion={profileVersion}
      canManage={canManage}
      groups={providers
        .map((provider) => ({
          provider: provider.name,
          providerName: provider.displayName,
          accounts: accounts.filter((one) => one.provider === provider.name).map((one) => one.account),
          tools: tools
            .filter((tool) => tool.provider === provider.name)
            .map((tool) => ({
              name: tool.name,
              title: tool.title,
              description: tool.description,
              effect: tool.effect,
              isAllowed: isAllowed.has(tool.name),
              blockedReason: blockedReason(tool),
            })),
        }))
        .filter((group) => group.tools.length > 0)}
      onSave={async ({ allow, baseVersion }) => {
        const result = await send(
          'PUT',
          `/api/v1/agents/${agentId}/profile?expectedVersion=${baseVersion}`,
          { version: 1, tools: { allow } },
          () => undefined,
        )
        // Also after a refusal: somebody else may have saved meanwhile, and their ticks should be seen.
        startTransition(() => router.refresh())
        return result
      }}
    />
  )
}
