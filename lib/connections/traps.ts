/**
 * What is known to go wrong with a connection later, said while there is time to do something about it. Pure: facts in,
 * findings out, the gravest first. Nothing here changes what a connection may do.
 *
 * What is peculiar to one provider is data that comes with its definition; what all of them have in common is here.
 *
 * @module
 */
import type { RefreshMode } from '../providers/definition'

export type TrapSeverity = 'danger' | 'warning' | 'info'

export interface Trap {
  /** `app_incident`, `refresh_token_ended`, `refresh_token_ending`, `no_refresh_token`, `partial_consent`, `idle`, or the provider's own. */
  readonly code: string
  readonly severity: TrapSeverity
  /** In a few words. */
  readonly title: string
  /** What is so, and what follows from it. */
  readonly words: string
  /** What to do about it, and who; undefined where the words say it already. */
  readonly advice?: string
  /** What the page can offer beside the advice. */
  readonly action: 'reconnect' | 'none'
  /** When it strikes, or since when it is so. */
  readonly at: Date | null
}

/** Something about a provider that surprises people, and what its tokens look like when it applies. */
export interface ProviderTrap {
  readonly id: string
  readonly title?: string
  readonly words: string
  readonly severity: 'note' | 'warning'
  /** Each condition that is present must hold. */
  readonly when: {
    readonly variants?: readonly string[]
    readonly hasRefreshToken?: boolean
    readonly accessExpires?: boolean
    readonly refreshLifetimeAtMostSeconds?: number
  }
}

export interface TrapFacts {
  readonly providerName: string
  readonly refreshMode: RefreshMode
  readonly providerTraps: readonly ProviderTrap[]
  readonly state: string
  /** Which kind of the provider's tokens it is; null where that is not known. */
  readonly variant: string | null
  /** Null: not known yet. */
  readonly hasRefreshToken: boolean | null
  readonly accessExpiresAt: Date | null
  readonly refreshExpiresAt: Date | null
  readonly authorizedAt: Date | null
  readonly lastRefreshAt: Date | null
  /** Permissions that were asked for and not granted. */
  readonly missingScopeCount: number
  /** Since when its tokens are no longer kept fresh because nobody uses it. */
  readonly idleSince: Date | null
  /** It is left alone because what the provider granted ends soon anyway. */
  readonly isGrantEnding: boolean
  /** Nothing is sent for the whole app, because the provider refuses or fails all of it. */
  readonly incident: { readonly since: Date | null } | null
  readonly now: Date
}

const DAY_MS = 86_400_000
const ENDING_MS = 14 * DAY_MS
/** The lifetime is worked out from instants that were written down a moment apart. */
const LIFETIME_TOLERANCE_MS = 3_600_000
const ORDER: readonly TrapSeverity[] = ['danger', 'warning', 'info']
const USABLE: readonly string[] = ['active', 'refreshing', 'degraded']

export function findTraps(facts: TrapFacts): Trap[] {
  if (facts.state === 'disconnected' || facts.state === 'connecting') return []
  const own = providersOwn(facts)
  const found = USABLE.includes(facts.state)
    ? [
        ...appTrouble(facts),
        ...own,
        ...ending(facts, own),
        ...unrenewable(facts, own),
        ...partial(facts),
        ...idle(facts),
      ]
    : // A consent that its provider ends by itself is the likeliest reason, and it will happen again.
      own.filter(({ severity }) => severity === 'warning')
  return found.sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}

function providersOwn(facts: TrapFacts): Trap[] {
  return facts.providerTraps
    .filter(({ when }) => applies(when, facts))
    .map(({ id, title, words, severity, when }) => ({
      code: id,
      severity: severity === 'note' ? 'info' : 'warning',
      title: title ?? `About this server’s ${facts.providerName} app`,
      words,
      action: severity === 'note' ? 'none' : 'reconnect',
      at:
        when.refreshLifetimeAtMostSeconds !== undefined
          ? facts.refreshExpiresAt
          : when.hasRefreshToken === false && when.accessExpires === true
            ? facts.accessExpiresAt
            : null,
    }))
}

/** What is not known never fulfils a condition. */
function applies(when: ProviderTrap['when'], facts: TrapFacts): boolean {
  if (when.variants !== undefined && (facts.variant === null || !when.variants.includes(facts.variant))) return false
  if (when.hasRefreshToken !== undefined && facts.hasRefreshToken !== when.hasRefreshToken) return false
  if (when.accessExpires !== undefined) {
    // Until the copy of the token's facts is there, no end is not known to be none.
    if (facts.hasRefreshToken === null || (facts.accessExpiresAt !== null) !== when.accessExpires) return false
  }
  if (when.refreshLifetimeAtMostSeconds !== undefined) {
    const lifetimeMs = refreshLifetimeMs(facts)
    if (lifetimeMs === null || lifetimeMs > when.refreshLifetimeAtMostSeconds * 1_000 + LIFETIME_TOLERANCE_MS)
      return false
  }
  return true
}

/** From the issue of the refresh token to its end. */
function refreshLifetimeMs({ refreshMode, refreshExpiresAt, authorizedAt, lastRefreshAt }: TrapFacts): number | null {
  // One that stays is as old as the consent; one that is replaced is as old as the last renewal.
  const issuedAt = refreshMode === 'static' ? authorizedAt : latest(authorizedAt, lastRefreshAt)
  return refreshExpiresAt === null || issuedAt === null ? null : refreshExpiresAt.getTime() - issuedAt.getTime()
}

function latest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b
  return a > b ? a : b
}

function appTrouble({ providerName, incident }: TrapFacts): Trap[] {
  if (incident === null) return []
  return [
    {
      code: 'app_incident',
      severity: 'warning',
      title: `${providerName} has trouble with all accounts here`,
      words: `${providerName} refuses or fails every account connected through this server’s app at the moment. It is not about this account, and nothing is lost.`,
      advice:
        'Renewals wait until that is over and then go on by themselves. The operator of this server has been told.',
      action: 'none',
      at: incident.since,
    },
  ]
}

function ending(facts: TrapFacts, own: readonly Trap[]): Trap[] {
  const { providerName, refreshExpiresAt, now } = facts
  if (refreshExpiresAt === null || facts.hasRefreshToken === false) return []
  const leftMs = refreshExpiresAt.getTime() - now.getTime()
  if (leftMs <= 0)
    return [
      {
        code: 'refresh_token_ended',
        severity: 'danger',
        title: 'The consent has ended',
        words: `What ${providerName} gave us to renew the access has reached its end. The next renewal will fail.`,
        advice: 'Reconnect the account. Agents and permissions stay as they are.',
        action: 'reconnect',
        at: refreshExpiresAt,
      },
    ]
  // Where the provider's own trap names this very end, once is enough.
  if (leftMs > ENDING_MS || own.some(({ at }) => at === refreshExpiresAt)) return []
  const stays = facts.refreshMode === 'static'
  return [
    {
      code: 'refresh_token_ending',
      severity: 'warning',
      title: 'The consent ends soon',
      words: stays
        ? `${providerName} ends this consent soon.`
        : `What ${providerName} gave us to renew the access ends soon, because it has not been renewed for long.`,
      advice: stays
        ? 'Reconnect the account before that day.'
        : 'A call of an agent renews it; or reconnect the account before that day.',
      action: 'reconnect',
      at: refreshExpiresAt,
    },
  ]
}

function unrenewable({ providerName, hasRefreshToken, accessExpiresAt }: TrapFacts, own: readonly Trap[]): Trap[] {
  if (hasRefreshToken !== false || accessExpiresAt === null || own.some(({ at }) => at === accessExpiresAt)) return []
  return [
    {
      code: 'no_refresh_token',
      severity: 'warning',
      title: 'This access cannot be renewed',
      words: `${providerName} gave access without the means to renew it. It ends with this token.`,
      advice:
        'Reconnect the account. If it happens again, the app at the provider is not set up for access while you are away.',
      action: 'reconnect',
      at: accessExpiresAt,
    },
  ]
}

function partial({ providerName, missingScopeCount }: TrapFacts): Trap[] {
  if (missingScopeCount === 0) return []
  return [
    {
      code: 'partial_consent',
      severity: 'warning',
      title:
        missingScopeCount === 1
          ? 'One permission was not granted'
          : `${missingScopeCount} permissions were not granted`,
      words: 'Tools that need what is missing refuse.',
      advice: `Reconnect and tick them at ${providerName}, or take those tools from the agents.`,
      action: 'reconnect',
      at: null,
    },
  ]
}

function idle({ providerName, idleSince, isGrantEnding }: TrapFacts): Trap[] {
  if (idleSince === null) return []
  return [
    {
      code: 'idle',
      severity: isGrantEnding ? 'warning' : 'info',
      title: 'Not used for long',
      words: isGrantEnding
        ? `Nobody uses this account, and what ${providerName} granted ends soon.`
        : 'Nobody has used this account for long, so its access is no longer kept fresh.',
      advice: isGrantEnding
        ? 'Reconnect it if agents are to use it again; disconnect it if it is not needed.'
        : `The next call renews it, for as long as ${providerName} still accepts that. Disconnect it if it is not needed.`,
      action: isGrantEnding ? 'reconnect' : 'none',
      at: idleSince,
    },
  ]
}
