/**
 * What somebody may do at this moment, read inside the transaction of what they do. Between the look at a session or key
 * and the change itself a role may have been taken away; a change of roles, a key or an invitation asks again here, and
 * the row it read stays as it is until it is done.
 *
 * @module
 */
import type { AppTx } from '../db/app-db'
import { AppError } from '../errors'
import type { MemberPrincipal, Role } from './principal'
import { lesserRole, parseRole, reaches } from './role'

export const forbidden = (): AppError =>
  new AppError('auth.forbidden', 'Your role in this workspace does not allow this.')

/** @throws AppError `auth.forbidden` when they are no member any more */
export async function actingRole(tx: AppTx, principal: MemberPrincipal): Promise<Role> {
  if (principal.kind === 'operator') return principal.role
  const [row] = await tx.$queryRaw<{ role: string }[]>`
    SELECT role FROM membership WHERE tenant_id = ${principal.tenantId} AND person_id = ${principal.personId} FOR SHARE`
  if (row === undefined) throw forbidden()
  return lesserRole(principal.role, parseRole(row.role))
}

/** @throws AppError `auth.forbidden`: nobody gives or takes a role above their own */
export function checkReach(own: Role, other: Role): void {
  if (!reaches(own, other)) throw forbidden()
}
