/**
 * What a consent page says an agent could do: the tools of its profile that the asked scopes reach, and the
 * person's accounts and shared ones they would work on. It is a description; every call is decided anew.
 *
 * @module
 */
import type { AppDb } from '@/lib/db/app-db'
import type { AccessPreview, ConsentDependencies } from '@/lib/oauth-server/consent'
import { compileProfile } from '@/lib/policy/compile'
import { decide } from '@/lib/policy/decide'
import type { ToolRegistry } from '@/lib/tools/registry'

const MAX_ACCOUNTS = 200

export function createAccessPreview(deps: {
  readonly appDb: AppDb
  readonly registry: ToolRegistry
}): ConsentDependencies['preview'] {
  return async ({ tenantId, agentId, personId }, scopes): Promise<AccessPreview> => {
    const { stored, connections } = await deps.appDb.tenant(tenantId, async (tx) => {
      const agent = await tx.agent.findUnique({ where: { tenantId_id: { tenantId, id: agentId } } })
      const version = agent?.profileVersion ?? 0
      return {
        stored: await tx.profileVersion.findUnique({
          where: { tenantId_agentId_version: { tenantId, agentId, version } },
        }),
        connections: await tx.connection.findMany({
          where: {
            tenantId,
            access: { not: 'deleted' },
            state: { not: 'connecting' },
            // Those the agent would reach for this person: their own, and what colleagues share.
            OR: [{ ownerPersonId: personId }, { sharing: 'workspace' }],
          },
          orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
          take: MAX_ACCOUNTS,
        }),
      }
    })
    const profile = compileProfile(stored?.version ?? 0, stored?.document)
    const tools = deps.registry.tools
      .map(({ tool }) => tool)
      .filter(
        ({ name, annotations }) =>
          decide({ tool: name, readOnly: annotations.readOnly, sessionScopes: scopes }, profile).effect === 'permit',
      )
    const needed = [...new Set(tools.map(({ provider }) => provider as string))] // widened: an account's provider is any text
    const accounts = connections
      .filter(({ provider }) => needed.includes(provider))
      .map(({ provider, accountLabel, access, state }) => ({
        provider,
        label: accountLabel,
        isUsable: access === 'allowed' && (state === 'active' || state === 'refreshing' || state === 'degraded'),
      }))
    return {
      tools: tools.map(({ name, title, provider, annotations }) => ({
        name,
        title,
        provider,
        isReadOnly: annotations.readOnly,
      })),
      accounts,
      missingProviders: needed.filter(
        (provider) => !accounts.some((account) => account.provider === provider && account.isUsable),
      ),
    }
  }
}
