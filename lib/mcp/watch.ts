/**
 * What open streams wait for: that their access ends, or that what their agent may list changes.
 *
 * Asked of the database every two seconds for all open streams at once, so that it holds whichever process made the
 * change and nothing depends on a message that may be lost. Costs nothing while no stream is open.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import type { Log } from '../log'
import type { AgentPrincipal } from '../tenancy/principal'

export interface Watcher {
  /** The tools this agent may list, or the accounts they act on, are others than before. */
  changed(): void
  /** The session, its agent or its workspace has ended. Told once; nothing follows. */
  ended(): void
}

export interface AgentWatch {
  /**
   * Resolves once it is known what the agent has now: whatever changes afterwards is told.
   *
   * @returns what ends the watching
   */
  watch(principal: AgentPrincipal, watcher: Watcher): Promise<() => void>
}

interface Entry {
  readonly name: string
  readonly principal: AgentPrincipal
  readonly watchers: Set<Watcher>
  fingerprint: string | undefined
}

const EVERY_MS = 2_000
const MAX_ASKED = 500

export function createAgentWatch({ appDb, log }: { readonly appDb: AppDb; readonly log: Log }): AgentWatch {
  const entries = new Map<string, Entry>()
  let timer: NodeJS.Timeout | undefined
  let isLooking = false

  async function lookAt(asked: readonly Entry[]): Promise<void> {
    const rows = asked.map(({ name, principal }) => ({
      watcher: name,
      tenant_id: principal.tenantId,
      agent_id: principal.agentId,
      agent_session_id: principal.agentSessionId,
      person_id: principal.personId,
    }))
    const found = await appDb.global.$queryRaw<{ watcher: string; ended: string | null; fingerprint: string }[]>`
      SELECT watcher, ended, fingerprint FROM watched_agents(${JSON.stringify(rows)}::jsonb)`
    for (const { watcher, ended, fingerprint } of found) {
      const entry = entries.get(watcher)
      if (entry === undefined) continue
      if (ended !== null) {
        entries.delete(watcher)
        for (const each of entry.watchers) each.ended()
        continue
      }
      const isNews = entry.fingerprint !== undefined && entry.fingerprint !== fingerprint
      entry.fingerprint = fingerprint
      if (isNews) for (const each of entry.watchers) each.changed()
    }
  }

  async function look(): Promise<void> {
    if (isLooking) return
    isLooking = true
    try {
      const all = [...entries.values()]
      for (let at = 0; at < all.length; at += MAX_ASKED) await lookAt(all.slice(at, at + MAX_ASKED))
    } catch (error) {
      log.warn({ err: error }, 'open streams could not be looked at; they are looked at again')
    } finally {
      isLooking = false
    }
  }

  return {
    async watch(principal, watcher) {
      const name = `${principal.agentSessionId} ${principal.agentId}`
      const known = entries.get(name)
      const entry: Entry = known ?? { name, principal, watchers: new Set(), fingerprint: undefined }
      entry.watchers.add(watcher)
      entries.set(name, entry)
      timer ??= setInterval(() => void look(), EVERY_MS).unref()
      const leave = () => {
        entry.watchers.delete(watcher)
        if (entry.watchers.size === 0 && entries.get(name) === entry) entries.delete(name)
        if (entries.size === 0) {
          clearInterval(timer)
          timer = undefined
        }
      }
      try {
        if (entry.fingerprint === undefined) await lookAt([entry])
      } catch (error) {
        leave()
        throw error
      }
      return leave
    },
  }
}
