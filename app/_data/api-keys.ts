/**
 * API keys of a workspace as their page shows them: one's own, or everybody's for who manages members.
 *
 * @module
 */
import 'server-only'

import type { ApiKeyRow, ApiKeysProps } from '@/components/pages/api-keys'
import { systemClock } from '@/lib/clock'
import { readLabels } from '@/lib/tenancy/labels'
import { isPermission, isPermitted, PERMISSIONS } from '@/lib/tenancy/permission'
import { parseRole, reaches, ROLES } from '@/lib/tenancy/role'

import type { Viewer } from './session'
import { web } from './web'

const MAX_KEYS = 200

/** Ones that work first, then the newest. */
export async function listApiKeys({ tenantId, personId, role }: Viewer): Promise<ApiKeyRow[]> {
  if (!isPermitted(role, 'api_key.read')) return []
  const now = systemClock.now()
  return web().db.tenant(tenantId, async (tx) => {
    const rows = await tx.apiKey.findMany({
      where: { tenantId, ...(isPermitted(role, 'member.manage') ? {} : { personId }) },
      // Of the table's columns the hash is not the pages' to read.
      select: {
        id: true,
        personId: true,
        name: true,
        role: true,
        scopes: true,
        ipRanges: true,
        prefix: true,
        createdAt: true,
        expiresAt: true,
        lastUsedAt: true,
        revokedAt: true,
        revokedReason: true,
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: MAX_KEYS,
    })
    const labels = await readLabels(tx, { people: rows.map((row) => row.personId) })
    const shown = rows.map((row): ApiKeyRow => ({
      id: row.id,
      name: row.name,
      prefix: row.prefix,
      role: parseRole(row.role),
      scopes: row.scopes.length === 0 ? undefined : row.scopes,
      ipRanges: row.ipRanges,
      owner: row.personId === personId ? 'You' : (labels.person(row.personId) ?? 'Somebody who left'),
      createdAt: row.createdAt.toISOString(),
      expiresAt: row.expiresAt.toISOString(),
      lastUsedAt: row.lastUsedAt?.toISOString(),
      state:
        row.revokedAt !== null
          ? row.revokedReason === 'leaked'
            ? 'leaked'
            : 'revoked'
          : row.expiresAt <= now
            ? 'expired'
            : 'active',
    }))
    return [...shown.filter(({ state }) => state === 'active'), ...shown.filter(({ state }) => state !== 'active')]
  })
}

/** Roles a key of the viewer may have, and what each may do. */
export function keyRoles({ role }: Viewer): ApiKeysProps['roles'] {
  return ROLES.filter((other) => reaches(role, other)).map((other) => ({
    role: other,
    scopes: Object.keys(PERMISSIONS)
      .filter((name) => isPermission(name) && isPermitted(other, name))
      .sort(),
  }))
}
