import { describe, expect, it } from 'vitest'

import { AppError } from '../errors'
import { brand } from '../ids'
import { RECENT_SECONDS, requireRecent } from './step-up'

const now = new Date('2026-01-01T12:00:00Z')
const ago = (seconds: number) => ({
  kind: 'person' as const,
  authenticatedAt: new Date(now.getTime() - seconds * 1_000),
})

describe('step-up', () => {
  it('passes a person until five minutes are over, and asks from that instant on', () => {
    expect(RECENT_SECONDS).toBe(300)
    requireRecent(ago(0), now)
    requireRecent(ago(RECENT_SECONDS - 0.001), now)
    const refused = (() => {
      try {
        requireRecent(ago(RECENT_SECONDS), now)
        return undefined
      } catch (error) {
        return error
      }
    })()
    expect(refused).toBeInstanceOf(AppError)
    expect(refused).toMatchObject({ code: 'auth.step_up_required', status: 403, retry: 'never' })
  })

  it('does not ask an API key or the operator, who have no browser', () => {
    const tenantId = brand<'tenant'>('ten_a')
    requireRecent({ kind: 'operator', tenantId, role: 'owner', network: 'local' }, now)
    requireRecent(
      {
        kind: 'api_key',
        tenantId,
        apiKeyId: brand('key_a'),
        personId: brand('per_a'),
        role: 'owner',
        scopes: null,
        network: '',
      },
      now,
    )
  })
})
