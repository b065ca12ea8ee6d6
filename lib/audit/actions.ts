/**
 * Everything that is recorded, by name, with the words a reader sees. Names are public: add freely, never rename.
 *
 * `always` marks what is never refused for want of an audit record: it ends or narrows access, or keeps a provider's
 * answer. Such actions go through `Audit.never`; everything else through `Audit.event`, which fails with its caller.
 *
 * @module
 */
interface ActionFacts {
  readonly title: string
  readonly always?: true
}

export const ACTIONS = {
  'tool.call': { title: 'A tool was called' },

  'person.signed_in': { title: 'Signed in' },
  'person.signed_out': { title: 'Signed out', always: true },
  'person.second_factor_asked': { title: 'Gave the first of two factors' },
  'person.totp_added': { title: 'An authenticator app was added' },
  'person.totp_removed': { title: 'The authenticator app was removed' },
  'person.passkey_added': { title: 'A passkey was added' },
  'person.passkey_removed': { title: 'A passkey was removed' },
  'person.recovery_codes_made': { title: 'New recovery codes were made' },
  'person.reauthenticated': { title: 'Confirmed that it is them' },
  'person.sign_in_refused': { title: 'A sign-in was refused', always: true },
  'person.signed_up': { title: 'Signed up' },
  'person.password_changed': { title: 'The password was changed' },
  'person.password_reset_requested': { title: 'A password reset was requested' },
  'person.password_reset': { title: 'The password was reset' },
  'person.email_verified': { title: 'The e-mail address was verified' },
  'person.email_change_requested': { title: 'A change of the e-mail address was requested' },
  'person.email_changed': { title: 'The e-mail address was changed' },
  'person.sessions_ended': { title: 'Web sessions were ended', always: true },
  'person.data_exported': { title: 'A person took a copy of what is stored about them' },
  'person.updated': { title: 'The person’s name was changed' },

  'workspace.created': { title: 'The workspace was created' },
  'workspace.entered': { title: 'Entered the workspace' },
  'workspace.updated': { title: 'The workspace was changed' },
  'workspace.deleted': { title: 'The workspace was deleted', always: true },
  'workspace.deletion_began': { title: 'The workspace was marked for deletion', always: true },
  'workspace.restored': { title: 'The workspace was taken back before its deletion' },
  'member.added': { title: 'A member was added' },
  'member.role_changed': { title: 'A member’s role was changed' },
  'member.removed': { title: 'A member was removed', always: true },

  'invitation.created': { title: 'Somebody was invited' },
  'invitation.accepted': { title: 'An invitation was accepted' },
  'invitation.revoked': { title: 'An invitation was withdrawn', always: true },

  'api_key.created': { title: 'An API key was created' },
  'api_key.revoked': { title: 'An API key was revoked', always: true },
  'api_key.leaked': { title: 'An API key was reported as leaked, and revoked', always: true },

  'connection.connect_started': { title: 'Connecting an account was started' },
  'connection.connected': { title: 'An account was connected' },
  'connection.refused': { title: 'Connecting an account was refused', always: true },
  'connection.reconnected': { title: 'An account was reconnected' },
  'connection.disconnected': { title: 'A connection was disconnected', always: true },
  'connection.state_changed': { title: 'The state of a connection changed', always: true },
  'connection.shared': { title: 'An account was shared with the workspace' },
  'connection.unshared': { title: 'An account is its owner’s alone again', always: true },
  'connection.restored': { title: 'A revoked connection was restored' },
  'connection.shredded': { title: 'The tokens of a revoked connection were destroyed', always: true },
  'connection.refreshed': { title: 'A credential was refreshed', always: true },
  'connection.revoked_at_provider': { title: 'Access was revoked at the provider', always: true },
  'connection.test_started': { title: 'A test of a connection was started' },
  'connection.tested': { title: 'A connection was tested', always: true },
  'connection.repaired': { title: 'A half-made connection was repaired', always: true },

  'agent.created': { title: 'An agent was created' },
  'agent.updated': { title: 'An agent was changed' },
  'agent.disabled': { title: 'An agent was disabled', always: true },
  'agent.enabled': { title: 'An agent was enabled' },
  'profile.applied': { title: 'A permission profile was applied' },
  'session.issued': { title: 'An agent session was issued' },
  'session.revoked': { title: 'An agent session was revoked', always: true },
  'session.refused': { title: 'A client was refused an agent', always: true },
  'client.created': { title: 'A client was created' },
  'client.revoked': { title: 'A client was revoked', always: true },
  'api.refused': { title: 'A request to the API was refused', always: true },
  'mcp.refused': { title: 'A request of an agent was refused', always: true },

  'sign_in.config_added': { title: 'Single sign-on was set up' },
  'sign_in.config_changed': { title: 'Single sign-on was changed' },
  'sign_in.config_removed': { title: 'Single sign-on was removed', always: true },
  'sign_in.enforced': { title: 'Single sign-on was made the only way in' },
  'sign_in.enforcement_ended': { title: 'Single sign-on is no longer the only way in' },
  'sign_in.owner_way_back': { title: 'An owner came in past single sign-on' },
  'sign_in.domain_added': { title: 'A domain was named for single sign-on' },
  'sign_in.domain_verified': { title: 'A domain was proven' },
  'sign_in.domain_removed': { title: 'A domain was removed' },
  'sign_in.domain_lapsed': { title: 'A domain is no longer proven', always: true },
  'sign_in.linked': { title: 'A way to sign in was linked' },
  'sign_in.unlinked': { title: 'A way to sign in was unlinked', always: true },

  'webhook.created': { title: 'A webhook was added' },
  'webhook.deleted': { title: 'A webhook was removed', always: true },
  'webhook.tested': { title: 'A webhook was tried' },
  'webhook.disabled': { title: 'A webhook was stopped', always: true },

  'audit.exported': { title: 'Records were exported' },
  'audit.export_started': { title: 'An export of records was started' },
  'audit.export_downloaded': { title: 'An export of records was downloaded' },
  'audit.export_deleted': { title: 'An export of records was deleted', always: true },
  'audit.stream_created': { title: 'A stream of records was added' },
  'audit.stream_resumed': { title: 'A stream of records was started again' },
  'audit.stream_deleted': { title: 'A stream of records was removed', always: true },
  'audit.stream_stopped': { title: 'A stream of records was stopped', always: true },
  'audit.arguments_read': { title: 'The arguments of a call were read' },
  'audit.person_erased': { title: 'A person was erased from the records', always: true },
  'audit.retention_changed': { title: 'How long records are kept was changed' },
  'audit.verification_started': { title: 'A verification of the records was started' },
  'audit.tampering_found': { title: 'The records are not what was written', always: true },
  'audit.unreadable_record': { title: 'A record under way could not be read', always: true },

  'provider_app.paused': { title: 'A provider refused our app, and its refreshes were paused', always: true },
  'provider_app.resumed': { title: 'A provider app is well again', always: true },
  'connection.idle': { title: 'A connection nobody uses is left to expire', always: true },

  'keys.rewrapped': { title: 'The workspace’s keys were wrapped under another key-encryption key', always: true },
  'keys.tenant_rotated': { title: 'The workspace got a new key', always: true },
  'keys.dek_rotated': { title: 'Credentials were sealed anew', always: true },
  'keys.retired': { title: 'A key of the workspace was destroyed', always: true },
  'vault.integrity_alarm': { title: 'A stored credential failed its integrity check', always: true },
} as const satisfies Record<string, ActionFacts>

export type AuditAction = keyof typeof ACTIONS

/** What happens by itself beside tool calls; those are written as intent and outcome. */
export type EventAction = Exclude<AuditAction, 'tool.call'>

/** The words for an action; a record of a newer version shows its bare name. */
export function titleOf(action: string): string {
  return isAuditAction(action) ? ACTIONS[action].title : action
}

export function isAuditAction(action: string): action is AuditAction {
  return Object.hasOwn(ACTIONS, action)
}
