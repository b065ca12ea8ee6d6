/**
 * Who belongs to a workspace and who is invited into it, as their page shows them.
 *
 * @module
 */
import 'server-only'

import type { InvitationRow, MemberRole } from '@/components/pages/people-settings'
import { systemClock } from '@/lib/clock'
import { readLabels } from '@/lib/tenancy/labels'
import { isPermitted } from '@/lib/tenancy/permission'
import { parseRole, reaches, ROLES } from '@/lib/tenancy/role'

import type { Viewer } from './session'
import { web } from './web'

const MAX_INVITATIONS = 100

/** Open ones first, then the newest. Undefined for who may not see them. */
export async function listInvitations({ tenantId, role }: Viewer): Promise<InvitationRow[] | undefined> {
  if (!isPermitted(role, 'invitation.read')) return undefined
  const now = systemClock.now()
  return web().db.tenant(tenantId, async (tx) => {
    const rows = await tx.invitation.findMany({
      where: { tenantId },
      select: {
        id: true,
        email: true,
        role: true,
        invitedBy: true,
        createdAt: true,
        expiresAt: true,
        acceptedAt: true,
        revokedAt: true,
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: MAX_INVITATIONS,
    })
    const labels = await readLabels(tx, { people: rows.map((row) => row.invitedBy) })
    const shown = rows.map((row): InvitationRow => ({
      id: row.id,
      email: row.email,
      role: parseRole(row.role),
      inviter: row.invitedBy === null ? 'the operator' : (labels.person(row.invitedBy) ?? 'somebody who left'),
      createdAt: row.createdAt.toISOString(),
      expiresAt: row.expiresAt.toISOString(),
      state:
        row.acceptedAt !== null
          ? 'accepted'
          : row.revokedAt !== null
            ? 'withdrawn'
            : row.expiresAt <= now
              ? 'expired'
              : 'open',
    }))
    return [...shown.filter(({ state }) => state === 'open'), ...shown.filter(({ state }) => state !== 'open')]
  })
}

/** Roles that the viewer may give and take. */
export function reachableRoles({ role }: Viewer): MemberRole[] {
  return ROLES.filter((other) => reaches(role, other))
}
