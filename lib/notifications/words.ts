/**
 * What happened to a connection and what to do about it, in plain words: the same in the product, in mails, to agents and
 * in the payload of a webhook. Labels are what the provider calls an account; they are text and stay text.
 *
 * @module
 */
import { displayNameOf } from '../providers/catalog/faces'

export const TROUBLES = ['degraded', 'reauthorization_required', 'revoked', 'suspended'] as const
export type Trouble = (typeof TROUBLES)[number]
export type NotificationKind = Trouble | 'recovered' | 'webhook_disabled'

export function isTrouble(value: string): value is Trouble {
  return (TROUBLES as readonly string[]).includes(value) // widened: includes() would ask for a Trouble to begin with
}

export function parseKind(value: string): NotificationKind | undefined {
  return isTrouble(value) || value === 'recovered' || value === 'webhook_disabled' ? value : undefined
}

const MAX_LABEL = 100

/** One line of bounded length, whatever the provider or a person put there. */
export function plainLabel(text: string, most = MAX_LABEL): string {
  const line = text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  const characters = Array.from(line)
  return characters.length <= most ? line : `${characters.slice(0, most - 1).join('')}…`
}

/** `GitHub account “ada”`. */
export function accountTitle(provider: string, label: string): string {
  return `${displayNameOf(provider)} account “${plainLabel(label)}”`
}

/** One sentence without a full stop: a subject, a heading. */
export function headlineOf(kind: NotificationKind, provider: string | null, label: string): string {
  const account = accountTitle(provider ?? '', label)
  switch (kind) {
    case 'degraded':
      return `The ${account} is not being renewed`
    case 'reauthorization_required':
      return `The ${account} has to be connected again`
    case 'revoked':
      return `Access to the ${account} has ended`
    case 'suspended':
      return `The ${account} is suspended`
    case 'recovered':
      return `The ${account} works again`
    case 'webhook_disabled':
      return `Nothing is sent to ${plainLabel(label)} any more`
  }
}

const REASONS: Readonly<Record<string, string>> = {
  invalid_grant: 'it answered that the permission it gave has expired or was withdrawn',
  token_revoked: 'it answered that the permission was withdrawn',
  token_expired: 'the permission has expired and there is nothing to renew it with',
  bad_refresh_token: 'it answered that the permission it gave is no longer valid',
  account_inactive: 'it answered that the account is inactive',
  interaction_required: 'it wants somebody to sign in there again',
  consent_required: 'it wants somebody to agree again',
  lost_rotation: 'a renewal was interrupted and its answer was lost',
  credential_missing: 'the stored credential is gone',
  gone: 'the address answered that it is gone for good (410)',
  failing: 'it failed for days',
  secret_unreadable: 'its signing secret could not be read',
}

/** Why, as half a sentence; undefined for a code without words, which helps nobody. */
export function reasonOf(reason: string | null, provider?: string): string | undefined {
  const words = reason !== null && Object.hasOwn(REASONS, reason) ? REASONS[reason] : undefined
  return provider === undefined ? words : words?.replace(/^it /, `${provider} `)
}

/** What it means and what to do, in two or three sentences. */
export function bodyOf(
  kind: NotificationKind,
  about: { readonly provider: string | null; readonly reason: string | null; readonly isOwner: boolean },
): string {
  const provider = displayNameOf(about.provider ?? '')
  const reason = reasonOf(about.reason, kind === 'webhook_disabled' ? undefined : provider)
  const because = reason === undefined ? '' : ` The reason: ${reason}.`
  const whoConnects = about.isOwner
    ? 'Connect it again; permissions and agents stay as they are.'
    : 'Its owner has to connect it again, or remove it.'
  switch (kind) {
    case 'degraded':
      return `${provider} does not answer when the access is renewed. It is tried again and again, and you hear of it when that is not enough. Agents may find the account unusable until then.${because}`
    case 'reauthorization_required':
      return `Agents cannot use it until then.${because} ${whoConnects}`
    case 'revoked':
      return `${provider} refused it several times or said that access was withdrawn, so it is blocked and nothing more is tried.${because} ${whoConnects}`
    case 'suspended':
      return `Agents cannot use it at the moment. Its page says why.${because}`
    case 'recovered':
      return 'Its access was renewed. There is nothing to do.'
    case 'webhook_disabled':
      return `Deliveries were stopped${reason === undefined ? '' : ` because ${reason}`}. Repair the receiver, then add the address again.`
  }
}

/** The page of ours where something can be done about it. */
export function pathOf(kind: NotificationKind, connectionId: string | null): string {
  return kind === 'webhook_disabled' || connectionId === null ? '/settings' : `/connections/${connectionId}`
}
