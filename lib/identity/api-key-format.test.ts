import { describe, expect, it } from 'vitest'

import { checksumOf, isApiKey, newApiKey } from './api-key-format'
import { isWithin, parseIpRanges } from './ip-ranges'

describe('the form of an API key', () => {
  it('carries a checksum that a scanner can compute without asking anybody', () => {
    // CRC-32 of "123456789" is 0xcbf43926 (the check value of the CRC catalogue): 3421780262, in base 62.
    expect(checksumOf('123456789')).toBe('3jZRME')
    const key = newApiKey()
    expect(key).toMatch(/^pck_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/)
    expect(key.slice(-6)).toBe(checksumOf(key.slice(0, -6)))
    expect(isApiKey(key)).toBe(true)
  })

  it('is not a key with one character changed, cut off or added', () => {
    const key = newApiKey()
    const other = key[10] === 'A' ? 'B' : 'A'
    expect(isApiKey(key.slice(0, 10) + other + key.slice(11))).toBe(false)
    expect(isApiKey(key.slice(0, -1))).toBe(false)
    expect(isApiKey(`${key}a`)).toBe(false)
    expect(isApiKey(`${key}\n`)).toBe(false)
    expect(isApiKey(` ${key}`)).toBe(false)
  })

  it('still knows the keys made before there was a checksum', () => {
    expect(isApiKey(`pck_${'a'.repeat(43)}`)).toBe(true)
    expect(isApiKey(`pcs_${'a'.repeat(43)}`)).toBe(false)
  })
})

describe('where a key may be used from', () => {
  it('is kept in one spelling, whatever was typed', () => {
    expect(
      parseIpRanges(['192.0.2.77/24', '192.0.2.1/24', '10.0.0.1', '2001:DB8::1/32', '::ffff:198.51.100.7'], 'ipRanges'),
    ).toEqual(['192.0.2.0/24', '10.0.0.1/32', '2001:db8::/32', '198.51.100.7/32'])
    expect(parseIpRanges(['::ffff:198.51.100.0/120'], 'ipRanges')).toEqual(['198.51.100.0/24'])
  })

  it.each([
    '10.1',
    '0x7f.0.0.1',
    '010.0.0.1',
    '10.0.0.1/33',
    '2001:db8::/129',
    'fe80::1%eth0',
    'example.com',
    '',
    '1.2.3.4/8/8',
    '::ffff:1.2.3.4/40',
  ])('refuses what different programs read differently: %s', (range) => {
    expect(() => parseIpRanges([range], 'ipRanges')).toThrow(expect.objectContaining({ code: 'request.invalid' }))
  })

  it('holds an address in every spelling of it, and no other', () => {
    const ranges = ['192.0.2.0/24', '2001:db8::/32']
    expect(isWithin('192.0.2.200', ranges)).toBe(true)
    expect(isWithin('::ffff:192.0.2.200', ranges)).toBe(true)
    expect(isWithin('2001:db8:ffff::1', ranges)).toBe(true)
    expect(isWithin('192.0.3.1', ranges)).toBe(false)
    expect(isWithin('2001:db9::1', ranges)).toBe(false)
    expect(isWithin('unknown', ranges)).toBe(false)
    expect(isWithin('anything', [])).toBe(true)
    expect(isWithin('10.0.0.1', ['::/0'])).toBe(false)
  })
})
