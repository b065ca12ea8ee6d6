/**
 * How a call ends when it does not succeed, in words an agent can act on or pass to its user. Links are our own and carry
 * no authority: whoever opens one signs in first.
 *
 * @module
 */
import type { ProviderName } from '../config'
import { AppError } from '../errors'
import { EgressError } from '../egress/egress'
import { displayNameOf } from '../providers/catalog/faces'
import type { Account } from './directory'

/** `unknown`: the provider may have carried it out. */
export type FailedOutcome = 'error' | 'cancelled' | 'unknown'

/** Ends a call. Caught by the broker alone. */
export class CallFailure extends Error {
  override readonly name = 'CallFailure'
  /** A code for the record. */
  readonly reason: string
  readonly outcome: FailedOutcome
  /** For the agent. */
  readonly text: string
  /** The page where a person puts it right, when one can. */
  readonly connectUrl: string | undefined

  constructor(reason: string, text: string, outcome: FailedOutcome = 'error', connectUrl?: string) {
    super(reason)
    this.reason = reason
    this.text = text
    this.outcome = outcome
    this.connectUrl = connectUrl
  }
}

export interface Links {
  connect(provider: string): string
  reconnect(account: Account): string
  /** Where everything that is known about it stands. */
  page(account: Account): string
}

export function createLinks(publicUrl: string): Links {
  const link = (parameters: Readonly<Record<string, string>>) =>
    `${publicUrl}/connections/new?${new URLSearchParams(parameters).toString()}`
  return {
    connect: (provider) => link({ provider }),
    reconnect: ({ provider, connectionId }) => link({ provider, connection: connectionId }),
    page: ({ connectionId }) => `${publicUrl}/connections/${connectionId}`,
  }
}

export function missingAccount(provider: ProviderName, links: Links): CallFailure {
  const name = displayNameOf(provider)
  return new CallFailure(
    'connection_missing',
    `No ${name} account is connected for this agent. Ask the user to open ${links.connect(provider)} and connect one, then try again.`,
    'error',
    links.connect(provider),
  )
}

export function needsReconnect(account: Account, provider: ProviderName, links: Links, reason: string): CallFailure {
  const name = displayNameOf(provider)
  return new CallFailure(
    reason,
    `The ${name} account "${account.label}" has to be connected again. Ask the user to open ${links.reconnect(account)}, then try again.`,
    'error',
    links.reconnect(account),
  )
}

export function missingScope(
  account: Account,
  provider: ProviderName,
  links: Links,
  needed: readonly string[],
): CallFailure {
  const name = displayNameOf(provider)
  const what = needed.length === 0 ? 'a permission' : `the permission ${needed.join(', ')}`
  return new CallFailure(
    'scope_missing',
    `The ${name} account "${account.label}" lacks ${what} for this. Ask the user to open ${links.reconnect(account)} and allow it, then try again.`,
    'error',
    links.reconnect(account),
  )
}

export function rateLimited(provider: ProviderName, seconds: number): CallFailure {
  return new CallFailure(
    'provider_rate_limited',
    `${displayNameOf(provider)} limits how often this account may be used. Try again in ${seconds} seconds.`,
  )
}

export function unavailable(provider: ProviderName, reason: string, mayHaveActed: boolean): CallFailure {
  const name = displayNameOf(provider)
  return mayHaveActed
    ? new CallFailure(
        reason,
        `${name} gave no usable answer, so it is not known whether this was carried out. Check before you try again.`,
        'unknown',
      )
    : new CallFailure(reason, `${name} does not answer at the moment. Try again later.`)
}

export function cancelled(mayHaveActed: boolean): CallFailure {
  return new CallFailure('client_disconnected', 'The call was cancelled.', mayHaveActed ? 'unknown' : 'cancelled')
}

/**
 * What an error of the layers below means for a call.
 *
 * @param isWrite  whether the tool changes something, so that a lost answer leaves that open
 */
export function failureOf(
  error: unknown,
  context: {
    readonly account: Account
    readonly provider: ProviderName
    readonly links: Links
    readonly isWrite: boolean
  },
): CallFailure | undefined {
  const { account, provider, links, isWrite } = context
  if (error instanceof CallFailure) return error
  if (error instanceof EgressError) {
    const mayHaveActed = isWrite && error.sent
    if (error.aborted) return cancelled(mayHaveActed)
    if (error.code === 'egress.too_large' && !mayHaveActed)
      return new CallFailure(
        'answer_too_large',
        'The answer is too large. Ask for less: a lower limit or a narrower search.',
      )
    return unavailable(provider, error.code.replace('.', '_'), mayHaveActed)
  }
  if (!(error instanceof AppError)) return undefined
  switch (error.code) {
    case 'connection.reauthorization_required':
    case 'connection.already_revoked':
    case 'resource.not_found':
      return needsReconnect(account, provider, links, error.code.replace('.', '_'))
    case 'connection.scope_missing':
      return missingScope(account, provider, links, [])
    case 'connection.not_ready':
      return new CallFailure(
        'connection_not_ready',
        `The ${displayNameOf(provider)} account "${account.label}" is being renewed. Try again in a few seconds.`,
      )
    case 'provider.rate_limited':
      return rateLimited(provider, error.retryAfterSeconds ?? 60)
    case 'provider.unavailable':
      return unavailable(provider, 'provider_unavailable', false)
    case 'provider.rejected':
      return new CallFailure(
        'provider_rejected',
        `${displayNameOf(provider)} refuses the account "${account.label}" at the moment. If it stays so, ask the user to open ${links.reconnect(account)}.`,
      )
    case 'provider.misconfigured':
      return new CallFailure(
        'provider_misconfigured',
        `The operator of this gateway has to repair its registration at ${displayNameOf(provider)}. Trying again does not help.`,
      )
    case 'vault.unreadable':
    case 'vault.key_unavailable':
    case 'vault.wrong_key':
    case 'service.unavailable':
      return new CallFailure(
        error.code.replace('.', '_'),
        'The gateway cannot use this account at the moment. Its operator has been told; try again later.',
      )
    default:
      return undefined
  }
}
