/**
 * The one permission table: which role may do what in a workspace. Used by the API, the pages and the tests.
 *
 * @module
 */
import { AppError } from '../errors'
import type { MemberPrincipal, Role } from './principal'

const EVERYONE: readonly Role[] = ['owner', 'admin', 'member', 'auditor']
const MEMBERS: readonly Role[] = ['owner', 'admin', 'member']
const ADMINS: readonly Role[] = ['owner', 'admin']
/** Who answers for the record. */
const AUDITORS: readonly Role[] = ['owner', 'admin', 'auditor']
const OWNERS: readonly Role[] = ['owner']

export const PERMISSIONS = {
  'workspace.read': EVERYONE,
  'workspace.update': ADMINS,
  'member.read': EVERYONE,
  /** Add, change, remove; never above one's own role. */
  'member.manage': ADMINS,
  'invitation.read': ADMINS,
  /** Never into a role above one's own. */
  'invitation.create': ADMINS,
  'invitation.revoke': ADMINS,
  'connection.read': EVERYONE,
  'connection.connect': MEMBERS,
  /** One's own; admins may test anybody's. It uses the credential. */
  'connection.test': MEMBERS,
  /** One's own; admins may disconnect anybody's. */
  'connection.disconnect': MEMBERS,
  /** One's own, either way; admins may take back what anybody shared. */
  'connection.share': MEMBERS,
  /** Within a week of a revocation that nobody asked for. */
  'connection.restore': ADMINS,
  'agent.read': EVERYONE,
  'agent.create': MEMBERS,
  'agent.update': MEMBERS,
  'agent.disable': MEMBERS,
  'profile.read': EVERYONE,
  'profile.apply': MEMBERS,
  'session.read': EVERYONE,
  'session.issue': MEMBERS,
  'session.revoke': MEMBERS,
  'api_key.read': MEMBERS,
  'api_key.create': MEMBERS,
  'api_key.revoke': MEMBERS,
  'audit.read': EVERYONE,
  /** The content of a call: what was sent, not only that it was. */
  'audit.read_arguments': ADMINS,
  'audit.export': ADMINS,
  /** Have the chain over the records computed again. */
  'audit.verify': AUDITORS,
  /** How long records are kept: what is removed is gone. */
  'audit.retention': OWNERS,
  /** Send the trail on to another system, as it grows. */
  'audit.stream': ADMINS,
  /** One's own. */
  'notification.read': EVERYONE,
  'webhook.read': ADMINS,
  'webhook.manage': ADMINS,
  /** How the workspace’s people sign in: its issuer and its domains. */
  'sign_in.manage': ADMINS,
  /** Another one, of one's own. */
  'workspace.create': MEMBERS,
  'workspace.delete': OWNERS,
} as const satisfies Record<string, readonly Role[]>

export type Permission = keyof typeof PERMISSIONS

export function isPermitted(role: Role, permission: Permission): boolean {
  return PERMISSIONS[permission].includes(role) // widened: the tuple's type names only its own roles
}

export function isPermission(value: string): value is Permission {
  return Object.hasOwn(PERMISSIONS, value)
}

/** @throws AppError `auth.forbidden` when the principal's role, or what their key is for, does not include this. */
export function checkPermission(principal: MemberPrincipal, permission: Permission): void {
  if (!isPermitted(principal.role, permission))
    throw new AppError('auth.forbidden', 'Your role in this workspace does not allow this.')
  if (principal.kind === 'api_key' && principal.scopes !== null && !principal.scopes.includes(permission))
    throw new AppError('auth.forbidden', `This API key is not for that: it lacks the scope ${permission}.`)
}
