import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { createScrubber, REDACTED } from './scrub'

const TOKEN = 'gho_Kf92LmQpX7vRtYw3ZbNc8DsA1eUiOj4G'
function scrubberOf(...secrets: string[]) {
  const scrubber = createScrubber()
  for (const secret of secrets) scrubber.add(secret)
  return scrubber
}
/** True when any twelve characters in a row of the secret are in the text. */
function holdsRun(text: string, secret: string): boolean {
  for (let at = 0; at + 12 <= secret.length; at += 1) if (text.includes(secret.slice(at, at + 12))) return true
  return false
}

describe('the scrubber', () => {
  it('leaves a text without the credential exactly as it is', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        fc.pre(!holdsRun(text, TOKEN))
        expect(scrubberOf(TOKEN).text(text)).toBe(text)
      }),
    )
  })

  it('removes every run of twelve characters, wherever it is cut and whatever surrounds it', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.nat(TOKEN.length - 12),
        fc.nat(TOKEN.length),
        (before, after, start, length) => {
          const part = TOKEN.slice(start, start + Math.max(12, length))
          const text = scrubberOf(TOKEN).text(before + part + after)
          expect(holdsRun(text, TOKEN)).toBe(false)
          expect(text).toContain(REDACTED)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('leaves shorter pieces, which say nothing', () => {
    expect(scrubberOf(TOKEN).text(`it starts with ${TOKEN.slice(0, 11)}!`)).toContain(TOKEN.slice(0, 11))
  })

  it.each([
    ['base64', (value: string) => Buffer.from(value).toString('base64')],
    ['base64url', (value: string) => Buffer.from(value).toString('base64url')],
    ['hexadecimal', (value: string) => Buffer.from(value).toString('hex')],
    ['upper-case hexadecimal', (value: string) => Buffer.from(value).toString('hex').toUpperCase()],
    ['percent-encoding', encodeURIComponent],
  ])('finds it in %s at any offset', (_name, encode) => {
    const secret = 'xoxp/+Ä Kf92LmQpX7vRtYw3ZbNc8DsA1eUiOj4G'
    const own = encode(secret)
    for (const prefix of ['', 'a', 'ab', 'abc', '{"authorization":"Bearer ']) {
      const text = scrubberOf(secret).text(encode(`${prefix}${secret}"}`))
      expect(text).toContain(REDACTED)
      expect(holdsRun(text, own.slice(4, -4))).toBe(false)
    }
  })

  it('removes it more than once, and each of several credentials', () => {
    const other = 'ya29.OtherTokenOfTheSameCall0123'
    const text = scrubberOf(TOKEN, other).text(`${TOKEN}${TOKEN} ${other}\n${TOKEN.slice(3, 20)}`)
    expect([holdsRun(text, TOKEN), holdsRun(text, other)]).toEqual([false, false])
  })

  it('reaches into values', () => {
    const clean = scrubberOf(TOKEN).value({ a: [{ b: `x ${TOKEN}` }], n: 1, z: null })
    expect(clean).toEqual({ a: [{ b: `x ${REDACTED}` }], n: 1, z: null })
  })

  it('removes a short credential only as a whole', () => {
    expect(scrubberOf('short-1').text('short-1 short-2')).toBe(`${REDACTED} short-2`)
  })

  it('says when serialized text could hide a run', () => {
    expect([scrubberOf(TOKEN).needsDeepScan, scrubberOf('a"b\\c0123456789').needsDeepScan]).toEqual([false, true])
  })
})
