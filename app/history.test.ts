import { describe, expect, test } from 'vitest'

import { toHistoryLine, type HistoryRow } from '@/app/_client/history'

const row: HistoryRow = {
  id: 'rfe_1',
  at: '2026-11-21T12:00:00.000Z',
  cause: 'due',
  outcome: 'issued',
  code: null,
  latencyMs: 180,
}

describe('the history of a connection in words', () => {
  test.each<[Partial<HistoryRow>, string, string | undefined, string]>([
    [{}, 'Renewed, on schedule', undefined, 'good'],
    [{ cause: 'expiry' }, 'Renewed, before a call', undefined, 'good'],
    [
      { outcome: 'permanent', code: 'invalid_grant' },
      'Renewal refused for good, on schedule',
      'The provider says that the consent has ended or was withdrawn.',
      'bad',
    ],
    [
      { outcome: 'weather', code: 'timeout' },
      'Renewal failed for now, on schedule',
      'The provider took too long.',
      'bad',
    ],
    [
      { outcome: 'not_tried', code: 'app_incident', cause: 'x' },
      'Renewal not tried',
      'The provider refuses or fails all accounts of this server.',
      'plain',
    ],
    [
      { outcome: 'unknown_outcome', code: 'http_500' },
      'Renewal without a usable answer, on schedule',
      'Something failed at the provider (HTTP 500).',
      'bad',
    ],
    [
      { outcome: 'rejected', code: 'http_403' },
      'Renewal refused, on schedule',
      'The provider answered something unexpected (HTTP 403).',
      'bad',
    ],
    [{ outcome: 'state:active', code: 'recovery' }, 'Works', undefined, 'good'],
    [
      { outcome: 'state:reauthorization_required', code: 'lost_rotation' },
      'Has to be reconnected',
      'A renewal was interrupted and its answer was lost.',
      'bad',
    ],
  ])('%j reads “%s”', (fields, words, detail, tone) => {
    expect(toHistoryLine({ ...row, ...fields })).toMatchObject({ words, tone })
    expect(toHistoryLine({ ...row, ...fields }).detail).toBe(detail)
  })

  test.each(['constructor', '__proto__', 'state:toString', 'state:', 'brand_new.kind'])(
    'a code of a newer server, %j, is shown as it reads and never looks like a success',
    (outcome) => {
      const line = toHistoryLine({ ...row, outcome, code: null })
      expect(typeof line.words).toBe('string')
      expect(line.tone).not.toBe('good')
    },
  )
})
