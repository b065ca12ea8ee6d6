/**
 * What a client without a usable session is told, and where it finds out more.
 *
 * @see RFC 6750 §3, RFC 9728 §5.1
 * @module
 */
export const SCOPES = 'mcp:read mcp:write'

export function protectedResourcePath(agentId: string): string {
  return `/.well-known/oauth-protected-resource/mcp/${agentId}`
}

/**
 * The value of `WWW-Authenticate`. A request without credentials gets no error code (RFC 6750 §3.1).
 *
 * @param agentId  undefined when the path does not name one: then it holds something that must not be repeated
 */
export function challenge(publicUrl: string, agentId: string | undefined, error?: 'invalid_token'): string {
  const parameters = [
    ...(error === undefined
      ? []
      : [`error="${error}"`, 'error_description="The session is unknown, ended, or not for this agent."']),
    ...(agentId === undefined ? [] : [`resource_metadata="${publicUrl}${protectedResourcePath(agentId)}"`]),
    `scope="${SCOPES}"`,
  ]
  return `Bearer ${parameters.join(', ')}`
}

export const SCOPE_TOO_SMALL = 'The session was not given the scope for this call.'

/**
 * The value of `WWW-Authenticate` for a call that the agent's profile allows and this session's scopes do not. It names
 * everything the call takes, at once: a client that asks for one scope after the other shows its user one page each.
 *
 * @see RFC 6750 §3.1
 */
export function scopeChallenge(publicUrl: string, agentId: string, scopes: readonly string[]): string {
  const metadata = `${publicUrl}${protectedResourcePath(agentId)}`
  return `Bearer error="insufficient_scope", error_description="${SCOPE_TOO_SMALL}", scope="${scopes.join(' ')}", resource_metadata="${metadata}"`
}

/**
 * Protected resource metadata of an agent's endpoint. The same for every well-formed agent id, so that nobody learns
 * which exist. `resource` is, letter for letter, the URL that clients are given: they compare it with the one they used.
 */
export function protectedResource(publicUrl: string, agentId: string): Record<string, unknown> {
  return {
    resource: `${publicUrl}/mcp/${agentId}`,
    authorization_servers: [publicUrl],
    resource_name: 'Portcullis agent',
    bearer_methods_supported: ['header'],
    scopes_supported: SCOPES.split(' '),
  }
}
