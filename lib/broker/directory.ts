/**
 * What an agent has, as of at most 1.5 seconds ago: its compiled profile and the accounts it may use. Read in one
 * transaction; whether it may still be used is asked again, exactly, by the intent of each call.
 *
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb } from '../db/app-db'
import { FreshCache } from '../fresh-cache'
import { brand, type ConnectionId } from '../ids'
import { compileProfile, type CompiledProfile } from '../policy/compile'
import { decide } from '../policy/decide'
import { MAX_TOOLS } from '../policy/profile'
import type { AgentPrincipal } from '../tenancy/principal'
import type { ToolListing, ToolRegistry } from '../tools/registry'

const MAX_ACCOUNTS = 200

export interface Account {
  readonly connectionId: ConnectionId
  readonly provider: string
  /** Names the account to the agent: unique among the accounts of its provider, and it does not change when others come. */
  readonly label: string
  readonly isAllowed: boolean
  /** As far as the copy for display knows: the vault is asked when it is used. */
  readonly seemsWorking: boolean
}

export interface AgentView {
  readonly profile: CompiledProfile
  accountsOf(provider: string): readonly Account[]
  /** Tools this agent may call with a session of these scopes, in a stable order. */
  list(scopes: readonly string[]): readonly ToolListing[]
}

export interface Directory {
  view(principal: AgentPrincipal): Promise<AgentView>
  /** Forgets what is remembered: something changed. */
  forget(principal: AgentPrincipal): void
}

export function createDirectory(deps: {
  readonly appDb: AppDb
  readonly registry: ToolRegistry
  readonly clock: Clock
}): Directory {
  const { appDb, registry, clock } = deps
  const views = new FreshCache<AgentView>({ maxEntries: 5_000, maxAgeMs: 1_500, refreshAfterMs: 1_000, clock })
  // A stored version never changes, so its compiled form does not age.
  const profiles = new Map<string, CompiledProfile>()
  const keyOf = ({ tenantId, agentId, personId }: AgentPrincipal) => `${tenantId} ${agentId} ${personId ?? '*'}`

  async function load({ tenantId, agentId, personId }: AgentPrincipal): Promise<AgentView> {
    const { version, document, connections } = await appDb.tenant(tenantId, async (tx) => {
      const agent = await tx.agent.findUnique({
        where: { tenantId_id: { tenantId, id: agentId } },
        select: { profileVersion: true },
      })
      const current = agent?.profileVersion ?? 0
      const known = profiles.has(`${agentId} ${current}`)
      const stored = known
        ? null
        : await tx.profileVersion.findUnique({
            where: { tenantId_agentId_version: { tenantId, agentId, version: current } },
            select: { document: true },
          })
      return {
        version: current,
        document: stored?.document,
        connections: await tx.connection.findMany({
          where: {
            tenantId,
            access: { not: 'deleted' },
            state: { not: 'connecting' },
            // Whose session it is: their own accounts, and those their owners share. The intent asks the same, exactly.
            ...(personId === null ? {} : { OR: [{ ownerPersonId: personId }, { sharing: 'workspace' }] }),
          },
          select: { id: true, provider: true, accountLabel: true, access: true, state: true },
          orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
          take: MAX_ACCOUNTS,
        }),
      }
    })
    return createView(compiled(`${agentId} ${version}`, version, document), nameAccounts(connections), registry)
  }

  function compiled(key: string, version: number, document: unknown): CompiledProfile {
    const known = profiles.get(key)
    if (known !== undefined) return known
    const profile = compileProfile(version, document)
    if (profiles.size >= 10_000) profiles.clear()
    if (document !== undefined) profiles.set(key, profile)
    return profile
  }

  return {
    view: (principal) => views.get(keyOf(principal), () => load(principal)),
    forget: (principal) => views.delete(keyOf(principal)),
  }
}

function nameAccounts(
  connections: readonly { id: string; provider: string; accountLabel: string; access: string; state: string }[],
): readonly Account[] {
  const taken = new Set<string>()
  return connections.map(({ id, provider, accountLabel, access, state }) => {
    const plain = accountLabel.slice(0, 100)
    const key = (label: string) => `${provider} ${label.toLowerCase()}`
    const label = taken.has(key(plain)) ? `${plain} (${id.slice(-6)})` : plain
    taken.add(key(label))
    return {
      connectionId: brand<'connection'>(id),
      provider,
      label,
      isAllowed: access === 'allowed',
      seemsWorking: state === 'active' || state === 'degraded' || state === 'refreshing',
    }
  })
}

function createView(profile: CompiledProfile, accounts: readonly Account[], registry: ToolRegistry): AgentView {
  const lists = new Map<string, readonly ToolListing[]>()
  const accountsOf = (provider: string) => accounts.filter((account) => account.provider === provider)
  return {
    profile,
    accountsOf,
    list: (scopes) => {
      const key = [...scopes].sort().join(' ')
      let list = lists.get(key)
      if (list === undefined) {
        list = registry.tools
          .filter(({ tool }) => {
            const request = { tool: tool.name, readOnly: tool.annotations.readOnly, sessionScopes: scopes }
            return decide(request, profile).effect === 'permit'
          })
          .slice(0, MAX_TOOLS)
          .map(({ tool, listing }) => withAccounts(listing, accountsOf(tool.provider)))
        lists.set(key, list)
      }
      return list
    },
  }
}

/** Adds the `account` argument: required when there is a choice to make. */
function withAccounts(listing: ToolListing, accounts: readonly Account[]): ToolListing {
  const labels = accounts.filter(({ isAllowed }) => isAllowed).map(({ label }) => label)
  if (labels.length === 0) return listing
  const { inputSchema } = listing
  return {
    ...listing,
    inputSchema: {
      ...inputSchema,
      properties: {
        account: { type: 'string', enum: labels, description: 'Which connected account to use.' },
        ...inputSchema.properties,
      },
      ...(labels.length === 1 ? {} : { required: ['account', ...(inputSchema.required ?? [])] }),
    },
  }
}
