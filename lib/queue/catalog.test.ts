import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { newId } from '@/lib/ids'
import { createLog } from '@/lib/log'

import { createBackend } from './backend'
import { dedupeIdOf, JOB_NAMES, retryDelayMs } from './catalog'
import { toJobError } from './workers'

describe('the job catalogue', () => {
  it('waits a random time within a bound that doubles up to a limit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (failed, random) => {
        const delay = retryDelayMs('sendMail', failed, random)
        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(Math.min(300_000, 2_000 * 2 ** (failed - 1)))
      }),
    )
    expect([1, 2, 3].map((failed) => retryDelayMs('sendMail', failed, 1))).toEqual([2_000, 4_000, 8_000])
    expect(retryDelayMs('sendMail', 1, 0)).toBe(0)
  })

  it('names the same work the same and other work otherwise', () => {
    const tenantId = newId('tenant')
    const revocationId = newId('revocation')
    expect(dedupeIdOf('revokeGrant', { tenantId, revocationId })).toBe(
      dedupeIdOf('revokeGrant', { revocationId, tenantId }),
    )
    expect(dedupeIdOf('revokeGrant', { tenantId, revocationId })).not.toBe(
      dedupeIdOf('revokeGrant', { tenantId, revocationId: newId('revocation') }),
    )
    for (const name of JOB_NAMES) expect(dedupeIdOf(name, {})).not.toContain(':') // which the queue library reserves
  })

  it.each([
    [new AppError('provider.unavailable', 'x'), 'Error', 'provider.unavailable'],
    [new AppError('request.invalid', 'x'), 'UnrecoverableError', 'request.invalid'],
    [
      new AppError('connection.reauthorization_required', 'x'),
      'UnrecoverableError',
      'connection.reauthorization_required',
    ],
    [new RangeError('secret'), 'Error', 'internal RangeError'],
    ['secret', 'Error', 'internal'],
  ])('maps what failed to whether it is tried again: %s', (error, name, message) => {
    expect(toJobError(error)).toMatchObject({ name, message })
  })

  it('needs somewhere to live', () => {
    expect(() => createBackend({ databaseUrl: undefined, redisUrl: undefined }, createLog('test', 'silent'))).toThrow(
      expect.objectContaining({ code: 'config.invalid' }) as Error, // an asymmetric matcher
    )
  })
})
