import { describe, expect, it } from 'vitest'

import { findTraps, type ProviderTrap, type TrapFacts } from './traps'

const NOW = new Date('2026-11-21T12:00:00.000Z')
const DAY_MS = 86_400_000
const days = (count: number) => new Date(NOW.getTime() + count * DAY_MS)

const TESTING: ProviderTrap = {
  id: 'testing_app',
  words: 'testing',
  severity: 'warning',
  when: { refreshLifetimeAtMostSeconds: 604_800 },
}
const NEVER: ProviderTrap = {
  id: 'never_expires',
  title: 'A token that never expires',
  words: 'never',
  severity: 'note',
  when: { hasRefreshToken: false, accessExpires: false },
}
const ROTATION: ProviderTrap = { id: 'rotation', words: 'for good', severity: 'note', when: { hasRefreshToken: true } }
const NO_RENEWAL: ProviderTrap = {
  id: 'own_no_renewal',
  words: 'none',
  severity: 'warning',
  when: { hasRefreshToken: false, accessExpires: true },
}
const VARIANT: ProviderTrap = { id: 'variant', words: 'kind', severity: 'note', when: { variants: ['bot'] } }

/** A healthy connection of a provider whose refresh token stays and has no end. */
const healthy: TrapFacts = {
  providerName: 'Example',
  refreshMode: 'static',
  providerTraps: [],
  state: 'active',
  variant: null,
  hasRefreshToken: true,
  accessExpiresAt: days(1 / 24),
  refreshExpiresAt: null,
  authorizedAt: days(-1),
  lastRefreshAt: null,
  missingScopeCount: 0,
  idleSince: null,
  isGrantEnding: false,
  incident: null,
  now: NOW,
}

const table: readonly (readonly [string, Partial<TrapFacts>, readonly string[]])[] = [
  ['a healthy connection has none', {}, []],
  [
    'an app in testing: seven days from consent',
    { providerTraps: [TESTING], refreshExpiresAt: days(6) },
    ['testing_app'],
  ],
  [
    'an app in testing whose answers each repeat the end',
    { providerTraps: [TESTING], refreshExpiresAt: days(6), lastRefreshAt: NOW },
    ['testing_app'],
  ],
  [
    'an app in testing explains an access that ended',
    { providerTraps: [TESTING], refreshExpiresAt: days(-1), authorizedAt: days(-8), state: 'reauthorization_required' },
    ['testing_app'],
  ],
  ['a consent of half a year is no app in testing', { providerTraps: [TESTING], refreshExpiresAt: days(182) }, []],
  ['no end of the refresh token is no app in testing', { providerTraps: [TESTING] }, []],
  [
    'an end with an unknown beginning is no app in testing, and still an end',
    { providerTraps: [TESTING], refreshExpiresAt: days(6), authorizedAt: null },
    ['refresh_token_ending'],
  ],
  [
    'a rotating token with a week left of its half year is not an app in testing',
    {
      providerTraps: [TESTING],
      refreshMode: 'strict',
      refreshExpiresAt: days(6),
      authorizedAt: days(-400),
      lastRefreshAt: days(-176),
    },
    ['refresh_token_ending'],
  ],
  ['two weeks and a minute before its end is early enough', { refreshExpiresAt: days(14.001) }, []],
  ['two weeks before its end', { refreshExpiresAt: days(14) }, ['refresh_token_ending']],
  ['at its end', { refreshExpiresAt: NOW }, ['refresh_token_ended']],
  [
    'an end of something that is not there is none',
    { hasRefreshToken: false, accessExpiresAt: null, refreshExpiresAt: days(3) },
    [],
  ],
  ['no refresh token and an end', { hasRefreshToken: false }, ['no_refresh_token']],
  [
    'the provider’s own words for that come instead',
    { hasRefreshToken: false, providerTraps: [NO_RENEWAL] },
    ['own_no_renewal'],
  ],
  ['not knowing whether there is one is not knowing that there is none', { hasRefreshToken: null }, []],
  [
    'a token without an end',
    { hasRefreshToken: false, accessExpiresAt: null, providerTraps: [NEVER] },
    ['never_expires'],
  ],
  ['a token with an end is not one without', { hasRefreshToken: true, providerTraps: [NEVER] }, []],
  [
    'before anything is known of the token nothing is said of its end',
    { hasRefreshToken: null, accessExpiresAt: null, providerTraps: [NEVER, ROTATION] },
    [],
  ],
  ['rotation that stays on', { providerTraps: [ROTATION] }, ['rotation']],
  [
    'rotation that is off',
    { hasRefreshToken: false, accessExpiresAt: null, providerTraps: [ROTATION, NEVER] },
    ['never_expires'],
  ],
  ['a kind of token that is not known has none of its traps', { providerTraps: [VARIANT] }, []],
  ['a kind of token', { providerTraps: [VARIANT], variant: 'bot' }, ['variant']],
  ['another kind of token', { providerTraps: [VARIANT], variant: 'user' }, []],
  ['partial consent', { missingScopeCount: 2 }, ['partial_consent']],
  ['idle', { idleSince: days(-40) }, ['idle']],
  ['an incident of the app that began nobody knows when', { incident: { since: null } }, ['app_incident']],
  ['an incident of the app', { incident: { since: days(-0.01) } }, ['app_incident']],
  [
    'the gravest first',
    {
      providerTraps: [ROTATION],
      idleSince: days(-40),
      missingScopeCount: 1,
      refreshExpiresAt: days(-1),
      incident: { since: days(-0.01) },
    },
    ['refresh_token_ended', 'app_incident', 'partial_consent', 'rotation', 'idle'],
  ],
  ...(['reauthorization_required', 'revoked', 'suspended'] as const).map(
    (state) =>
      [
        `${state}: what only matters to a living access is not said`,
        {
          state,
          providerTraps: [ROTATION],
          idleSince: days(-40),
          missingScopeCount: 1,
          refreshExpiresAt: days(-1),
          incident: { since: days(-1) },
        },
        [],
      ] as const,
  ),
  ...(['disconnected', 'connecting'] as const).map(
    (state) =>
      [`${state}: nothing`, { state, providerTraps: [TESTING, ROTATION], refreshExpiresAt: days(6) }, []] as const,
  ),
]

describe('what is known to go wrong with a connection', () => {
  it.each(table)('%s', (_name, facts, expected) => {
    expect(findTraps({ ...healthy, ...facts }).map(({ code }) => code)).toEqual(expected)
  })

  it('says what to do, and offers to reconnect exactly where that helps', () => {
    const all = findTraps({
      ...healthy,
      hasRefreshToken: false,
      missingScopeCount: 3,
      idleSince: days(-40),
      incident: { since: NOW },
    })
    expect(all.every(({ words, advice }) => words.endsWith('.') && advice?.endsWith('.') === true)).toBe(true)
    expect(all.map(({ code, action }) => [code, action])).toEqual([
      ['app_incident', 'none'],
      ['no_refresh_token', 'reconnect'],
      ['partial_consent', 'reconnect'],
      ['idle', 'none'],
    ])
  })

  it('is called what the provider’s data calls it, and else says whose app it is about', () => {
    const titles = (facts: Partial<TrapFacts>) => findTraps({ ...healthy, ...facts }).map(({ title }) => title)
    const lasting = { hasRefreshToken: false, accessExpiresAt: null }
    expect(titles({ ...lasting, providerTraps: [NEVER] })).toEqual(['A token that never expires'])
    expect(titles({ providerTraps: [ROTATION] })).toEqual(['About this server’s Example app'])
  })

  it('says when: the end of the consent, not of the token, for an app in testing', () => {
    const [trap] = findTraps({ ...healthy, providerTraps: [TESTING], refreshExpiresAt: days(6) })
    expect(trap?.at).toEqual(days(6))
  })
})
