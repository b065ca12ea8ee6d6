/**
 * Who belongs to a workspace.
 *
 * @module
 */
import 'server-only'

import type { Member } from '@/components/pages/people-settings'
import type { Lifetimes } from '@/components/pages/workspace-settings'
import { parseRole } from '@/lib/tenancy/role'

import type { Viewer } from './session'
import { web } from './web'

const MAX_MEMBERS = 500

/** Longest-standing first. */
export async function listMembers({ tenantId, personId }: Viewer): Promise<Member[]> {
  return web().db.tenant(tenantId, async (tx) => {
    const rows = await tx.membership.findMany({
      where: { tenantId },
      select: { personId: true, role: true, createdAt: true },
      orderBy: [{ createdAt: 'asc' }, { personId: 'asc' }],
      take: MAX_MEMBERS,
    })
    const people = await tx.person.findMany({
      where: { id: { in: rows.map((row) => row.personId) } },
      select: { id: true, name: true, email: true },
    })
    const known = new Map(people.map((person) => [person.id, person]))
    return rows.flatMap((row) => {
      const person = known.get(row.personId)
      if (person === undefined) return []
      return [
        {
          id: person.id,
          name: person.name === '' ? person.email : person.name,
          email: person.email,
          role: parseRole(row.role),
          joinedAt: row.createdAt.toISOString(),
          isYou: person.id === personId,
        },
      ]
    })
  })
}

export interface WorkspaceFacts {
  /** Whether agents may say by name who can help with an account. */
  readonly agentsSeeOwnerNames: boolean
  readonly lifetimes: Lifetimes
}

export async function readWorkspaceSettings({ tenantId }: Viewer): Promise<WorkspaceFacts> {
  const row = await web().db.tenant(tenantId, (tx) =>
    tx.tenant.findUniqueOrThrow({
      where: { id: tenantId },
      select: {
        agentsSeeOwnerNames: true,
        accessTokenMinutes: true,
        sessionIdleDays: true,
        sessionAbsoluteDays: true,
      },
    }),
  )
  const { agentsSeeOwnerNames, ...lifetimes } = row
  return { agentsSeeOwnerNames, lifetimes }
}
