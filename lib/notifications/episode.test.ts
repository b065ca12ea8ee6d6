import { describe, expect, it } from 'vitest'

import { stepOf } from './episode'

const told = (level: number, isAnother = false) => ({ level, isAnother })

describe('an episode', () => {
  it.each([
    [
      'a blip opens silently',
      { state: 'degraded', hasSettled: false, episode: undefined },
      { kind: 'open', level: 0, endsOld: false },
    ],
    ['lasting weather is told', { state: 'degraded', hasSettled: true, episode: told(0) }, { kind: 'raise', level: 1 }],
    ['lasting weather is told once', { state: 'degraded', hasSettled: true, episode: told(1) }, { kind: 'nothing' }],
    [
      'a loss is told at once',
      { state: 'revoked', hasSettled: false, episode: undefined },
      { kind: 'open', level: 2, endsOld: false },
    ],
    [
      'worse is told once more',
      { state: 'reauthorization_required', hasSettled: true, episode: told(1) },
      { kind: 'raise', level: 2 },
    ],
    ['one loss after the other is one', { state: 'revoked', hasSettled: true, episode: told(2) }, { kind: 'nothing' }],
    ['from worse to bad is no news', { state: 'degraded', hasSettled: true, episode: told(2) }, { kind: 'nothing' }],
    [
      'trouble after it worked unseen is another',
      { state: 'suspended', hasSettled: true, episode: told(2, true) },
      { kind: 'open', level: 2, endsOld: true },
    ],
  ] as const)('%s', (_, seen, step) => {
    expect(stepOf(seen)).toEqual(step)
  })
})
