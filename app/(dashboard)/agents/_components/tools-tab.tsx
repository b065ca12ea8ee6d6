'use client'

import { useRouter } from 'next/navigation'
import { useTransition } from 'react'

import { useConnectionFacts } from '@/app/(dashboard)/connections/_components/use-connection-facts'
import { useCatalogue, type CatalogueTool } from '@/app/_client/catalogue'
import { send } from '@/app/_client/request'
import type { ActionResult } from '@/components/action'
import { AgentRules, type RuleDraft, type RuleEntry } from '@/components/pages/agent-rules'
import { AgentTools } from '@/components/pages/agent-tools'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { ErrorState } from '@/components/ui/error-state'
import { Loading, SkeletonRows } from '@/components/ui/skeleton'
import type { ProfileDocument } from '@/lib/policy/profile'

export interface OwnAccount {
  readonly id: string
  readonly provider: string
  readonly account: string
}

export function ToolsTab({
  agentId,
  profile,
  profileVersion,
  accounts,
  canManage,
}: {
  agentId: string
  /** As it is stored, names that this version no longer knows included. */
  profile: ProfileDocument
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
  const isAllowed = new Set(profile.tools.allow)

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

  const apply = async (document: ProfileDocument, baseVersion: number): Promise<ActionResult> => {
    const path = `/api/v1/agents/${agentId}/profile?expectedVersion=${baseVersion}` as const
    const result = await send('PUT', path, document, () => undefined)
    // Also after a refusal: somebody else may have saved meanwhile, and what they did should be seen.
    startTransition(() => router.refresh())
    return result
  }
  const rules = profile.rules ?? []

  return (
    <div className="space-y-6">
      <AgentRules
        rules={rules.map(entryOf)}
        canManage={canManage}
        onAdd={async (draft) => {
          const result = await apply({ ...profile, rules: [...rules, ruleOf(draft)] }, profileVersion)
          return result.ok ? result : { ok: false, error: { ...result.error, field: fieldOf(result.error.field) } }
        }}
        onRemove={({ id }) => apply({ ...profile, rules: rules.filter((rule) => rule.id !== id) }, profileVersion)}
      />
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
        onSave={({ allow, baseVersion }) => apply({ ...profile, tools: { allow: [...allow] } }, baseVersion)}
      />
    </div>
  )
}

type StoredRule = NonNullable<ProfileDocument['rules']>[number]

function entryOf(rule: StoredRule): RuleEntry {
  const { id, description, tools, resource, argument, not, ...conditions } = rule
  return {
    id,
    description,
    tools,
    resource,
    argument,
    not,
    conditions: Object.entries(conditions).map(([name, value]) => [name, [value].flat().join(', ')] as const),
  }
}

function ruleOf({ id, resource, not, condition, values }: RuleDraft): StoredRule {
  // The gateway reads it again and names what is wrong.
  return { id, resource, ...(not ? { not } : {}), [condition]: values } as StoredRule
}

/** Which field of the form a path in the document is about, such as `rules[3].oneOf[1]`. */
function fieldOf(path: string | undefined): string | undefined {
  const name = /^rules\[\d+\]\.(\w+)/.exec(path ?? '')?.[1]
  if (name === undefined || name === 'id' || name === 'resource') return name ?? path
  return name === 'not' ? 'effect' : 'values'
}
