import { randomBytes } from 'node:crypto'

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { newId } from '@/lib/ids'

import { createAuditSeals, deriveTenantSeal } from './seal'

const tenant = newId('tenant')
const key = randomBytes(32)
const seal = deriveTenantSeal(tenant, 1, key)
const unreadable: unknown = expect.objectContaining({ code: 'vault.unreadable' })

describe('sealed fields of a record', () => {
  it('open as what was sealed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (plain) => {
        expect(seal.open('record', 'id', seal.seal('record', 'id', plain)).equals(plain)).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  it('do not open with any bit flipped', () => {
    const sealed = seal.seal('record', 'id', Buffer.from('hello'))
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = Buffer.from(sealed)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => seal.open('record', 'id', changed)).toThrow(unreadable)
    }
  })

  it('do not open when cut short, tag included', () => {
    const sealed = seal.seal('record', 'id', Buffer.from('hello'))
    for (let length = 0; length < sealed.length; length += 1)
      expect(() => seal.open('record', 'id', sealed.subarray(0, length))).toThrow(unreadable)
  })

  it.each([
    ['another record', () => seal.open('record', 'other', seal.seal('record', 'id', Buffer.from('x')))],
    ['another field', () => seal.open('arguments', 'id', seal.seal('record', 'id', Buffer.from('x')))],
    [
      'another tenant with the same key',
      () => deriveTenantSeal(newId('tenant'), 1, key).open('record', 'id', seal.seal('record', 'id', Buffer.from('x'))),
    ],
    [
      'another key version with the same key',
      () => deriveTenantSeal(tenant, 2, key).open('record', 'id', seal.seal('record', 'id', Buffer.from('x'))),
    ],
  ])('do not open in the place of %s', (_, open) => {
    expect(open).toThrow(unreadable)
  })

  it('are never the same bytes twice', () => {
    const plain = Buffer.from('hello')
    const sealed = new Set(Array.from({ length: 1_000 }, () => seal.seal('record', 'id', plain).toString('hex')))
    expect(sealed.size).toBe(1_000)
  })

  it('have a digest that depends on tenant and key and cannot be had from the text alone', () => {
    expect(seal.digest('{}').length).toBe(32)
    expect(seal.digest('{}').equals(deriveTenantSeal(tenant, 1, key).digest('{}'))).toBe(true)
    expect(seal.digest('{}').equals(deriveTenantSeal(newId('tenant'), 1, key).digest('{}'))).toBe(false)
    expect(seal.digest('{}').equals(deriveTenantSeal(tenant, 1, randomBytes(32)).digest('{}'))).toBe(false)
  })

  it('refuse a key of the wrong size', () => {
    expect(() => deriveTenantSeal(tenant, 1, Buffer.alloc(16))).toThrow()
  })

  it('open under the version they were sealed with, after a newer one is current', async () => {
    const keys = [randomBytes(32), randomBytes(32)]
    let current = 1
    const seals = createAuditSeals({
      audit: () => Promise.resolve({ version: current, key: keys[current - 1]! }),
      auditAt: (_, version) => Promise.resolve(keys[version - 1]!),
    })
    const old = await seals.current(tenant)
    const sealed = old.seal('record', 'id', Buffer.from('hello'))
    current = 2
    const now = await seals.current(tenant)
    expect(now.keyVersion).toBe(2)
    expect(() => now.open('record', 'id', sealed)).toThrow(unreadable)
    expect((await seals.at(tenant, 1)).open('record', 'id', sealed).toString()).toBe('hello')
  })
})
