/**
 * The resource a token is for: exactly one agent's URL. Scheme and host compare without case, a default port and one
 * trailing slash do not count, nothing else is forgiven: no dots, no encodings, no query.
 *
 * Whether such an agent exists is not said here, so that nobody learns it from an authorization request.
 *
 * @see RFC 8707 §2, RFC 9728 §3.3
 * @module
 */
import { isId, type AgentId } from '../ids'

const SHAPE = /^(?<origin>[a-z][a-z0-9+.-]*:\/\/[^/?#@\\\s]+)\/mcp\/(?<agent>[a-z0-9_]+)\/?$/i

export function resourceOf(publicUrl: string, agentId: AgentId): string {
  return `${publicUrl}/mcp/${agentId}`
}

/** @returns undefined when the text is no agent's URL at this gateway */
export function agentOfResource(resource: string, publicUrl: string): AgentId | undefined {
  const { origin, agent } = SHAPE.exec(resource)?.groups ?? {}
  if (origin === undefined || !URL.canParse(origin) || new URL(origin).origin !== new URL(publicUrl).origin)
    return undefined
  return isId('agent', agent) ? agent : undefined
}
