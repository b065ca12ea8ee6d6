import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { canonicalJson } from './canonical'

describe('canonicalJson', () => {
  it('writes the example of RFC 8785 §3.2.4 as that section does', () => {
    const value: unknown = JSON.parse(
      String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
    )
    expect(canonicalJson(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    )
  })

  it('orders members as RFC 8785 §3.2.3 does, by UTF-16 code units', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 }
    const text = canonicalJson(value)
    expect(Object.values(JSON.parse(text) as Record<string, number>).length).toBe(7) // an object of numbers
    const order = [...text.matchAll(/:(\d)/g)].map((match) => Number(match[1]))
    expect(order).toEqual([2, 4, 6, 7, 1, 5, 3])
  })

  it('is the same whatever the order of members', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value))
      }),
    )
  })

  it('says the same value, and says it once: parsing gives it back and writing it again changes nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value)
        const parsed: unknown = JSON.parse(text)
        expect(parsed).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonicalJson(parsed)).toBe(text)
      }),
    )
  })

  it('tells different values apart', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const isSame = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
        expect(canonicalJson(a) === canonicalJson(b)).toBe(isSame)
      }),
    )
  })

  it('keeps a lone surrogate apart from its replacement character', () => {
    expect(canonicalJson('\ud800')).toBe(String.raw`"\ud800"`)
    expect(canonicalJson('\ud800')).not.toBe(canonicalJson('\ufffd'))
  })

  it('leaves out members that are undefined', () => {
    expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}')
  })

  it.each([
    [Number.NaN],
    [Infinity],
    [1n],
    [() => 1],
    [Symbol('x')],
    [undefined],
    [new Date()],
    [[undefined]],
    [new Map()],
  ])('refuses what JSON has no form for: %s', (value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError)
  })

  it('refuses nesting that would exhaust the stack', () => {
    const deep: unknown = JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`)
    expect(() => canonicalJson(deep)).toThrow(TypeError)
  })
})

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return fromEntries(Object.entries(value).reverse())
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  // Pairs rather than an object, in which integer-like names would order themselves.
  return [
    'object',
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  ]
}

function fromEntries(entries: readonly [string, unknown][]): unknown {
  return Object.fromEntries(entries.map(([name, member]) => [name, reversed(member)]))
}
