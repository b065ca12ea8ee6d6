/**
 * How many calls may be under way at once, for each agent and each workspace in this process: one runaway agent must not
 * take the sockets and database connections of the others.
 *
 * @module
 */
export interface CallLimits {
  readonly perAgent: number
  readonly perTenant: number
}

export interface CallLimiter {
  /** @returns undefined when there is no room, else what gives the place back */
  enter(tenantId: string, agentId: string): (() => void) | undefined
}

export function createCallLimiter(limits: CallLimits): CallLimiter {
  const underWay = new Map<string, number>()
  const add = (key: string, by: number) => {
    const count = (underWay.get(key) ?? 0) + by
    if (count === 0) underWay.delete(key)
    else underWay.set(key, count)
  }
  return {
    enter: (tenantId, agentId) => {
      if ((underWay.get(tenantId) ?? 0) >= limits.perTenant || (underWay.get(agentId) ?? 0) >= limits.perAgent)
        return undefined
      add(tenantId, 1)
      add(agentId, 1)
      return () => {
        add(tenantId, -1)
        add(agentId, -1)
      }
    },
  }
}
