/**
 * Asks the user, through the client, to connect an account that a call lacks: the client opens our page, a person signs in
 * there and connects their own account, and the call goes on.
 *
 * Three ways, by what the client declared: an `input_required` result (2026-07-28), the error −32042 (2025-11-25), else
 * the words of the result itself. The page carries no authority and the account connected there belongs to whoever
 * connected it, so handing the link to somebody else gains nothing.
 *
 * @see MCP 2026-07-28, "Multi round-trip requests"; MCP 2025-11-25, "URL mode elicitation"
 * @module
 */
import { createHash, randomUUID } from 'node:crypto'

import {
  inputRequired,
  inputResponse,
  ProtocolError,
  ProtocolErrorCode,
  UrlElicitationRequiredError,
  type InputRequiredResult,
} from '@modelcontextprotocol/server'

import { canonicalJson } from '../audit/canonical'
import type { AgentPrincipal } from '../tenancy/principal'
import type { McpSeals } from './sealed'

export type CanAsk = 'no' | 'by_result' | 'by_error'

export interface AccountRequests {
  /** What the client brings back about an earlier question: nothing, a yes, or a no. Throws −32602 for a state that is not ours. */
  read(
    principal: AgentPrincipal,
    call: AskedCall,
    brought: { readonly state: unknown; readonly responses: Record<string, unknown> | undefined },
  ): Promise<{ readonly answer: 'none' | 'accepted' | 'declined'; readonly round: number }>
  /** @returns the result that asks; undefined when it was asked often enough. @throws the error that asks */
  ask(
    principal: AgentPrincipal,
    call: AskedCall,
    question: { readonly canAsk: CanAsk; readonly url: string; readonly message: string; readonly round: number },
  ): Promise<InputRequiredResult | undefined>
}

export interface AskedCall {
  readonly name: string
  readonly args: unknown
}

const KEY = 'connect'
const MAX_ROUNDS = 8
export const STATE_MAX_AGE_MS = 15 * 60_000

export function createAccountRequests(seals: McpSeals): AccountRequests {
  const boundTo = ({ agentId, agentSessionId }: AgentPrincipal, { name, args }: AskedCall) =>
    [
      agentId,
      agentSessionId,
      name,
      createHash('sha256')
        .update(canonicalJson(args ?? null))
        .digest('base64url'),
    ].join(' ')
  return {
    async read(principal, call, { state, responses }) {
      if (state === undefined) return { answer: 'none', round: 0 }
      const content =
        typeof state === 'string'
          ? await seals.open(principal.tenantId, 'state', boundTo(principal, call), state)
          : undefined
      if (content === undefined)
        throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'Invalid or expired requestState')
      const { round } = content as { readonly round: number } // what `ask` sealed
      const response = inputResponse(responses, KEY)
      if (response.kind !== 'elicit') return { answer: 'none', round }
      return { answer: response.action === 'accept' ? 'accepted' : 'declined', round }
    },
    async ask(principal, call, { canAsk, url, message, round }) {
      if (canAsk === 'by_error')
        throw new UrlElicitationRequiredError([{ mode: 'url', message, url, elicitationId: randomUUID() }], message)
      if (canAsk === 'no' || round >= MAX_ROUNDS) return undefined
      return inputRequired({
        inputRequests: { [KEY]: inputRequired.elicitUrl({ message, url }) },
        requestState: await seals.seal(principal.tenantId, 'state', boundTo(principal, call), { round: round + 1 }),
      })
    },
  }
}
