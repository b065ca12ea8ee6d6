import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { findCookie, isSecret } from '@/lib/identity/cookies'
import { parseDisplayName } from '@/lib/identity/display-name'
import { findEmailAddress } from '@/lib/identity/email-address'
import { safeReturnPath } from '@/lib/identity/return-path'
import { newSecret } from '@/lib/ids'
import { slugOf } from '@/lib/tenancy/tenants'

describe('an e-mail address', () => {
  it.each([
    ['Ada@Example.COM', 'ada@example.com'],
    [' ada@example.com ', 'ada@example.com'],
    ['ＡＤＡ@example.com', 'ada@example.com'],
    ['ada@BÜCHER.example', 'ada@xn--bcher-kva.example'],
    ['ada@bu\u0308cher.example', 'ada@xn--bcher-kva.example'],
    ["o'hara+tag@sub.example.com", "o'hara+tag@sub.example.com"],
  ])('%s is one person: %s', (typed, canonical) => {
    expect(findEmailAddress(typed)?.canonical).toBe(canonical)
  })

  it.each([
    'ada',
    '@example.com',
    'ada@',
    'ada@example.com\r\nBcc: x@y.z',
    'ada@exam ple.com',
    'a,b@example.com',
    '<ada@example.com>',
    'Ada <ada@example.com>',
    '"a b"@example.com',
    'a..b@example.com',
    '.a@example.com',
    'ada@[127.0.0.1]',
    'ada@-example.com',
    'ada@example..com',
    `${'a'.repeat(65)}@example.com`,
    `a@${'b'.repeat(250)}.com`,
    'аda@example.com', // a Cyrillic а
    'ada\u200b@example.com',
    'ada%00@exa\u0000mple.com',
  ])('%j is none', (typed) => {
    expect(findEmailAddress(typed)).toBeUndefined()
  })

  it('of any text never has what could split a header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const found = findEmailAddress(`${text}@example.com`)
        return found === undefined || /^[\x21-\x7e]+@[a-z0-9.-]+$/.test(found.address)
      }),
    )
  })
})

describe('a name', () => {
  it.each(['a\r\nBcc: x', 'a\u202egnp.exe', 'a\u0000b', 'a\u200bb', '\u2066x', '', '   ', 'x'.repeat(81), 'a\tb'])(
    '%j is refused',
    (name) => {
      expect(() => parseDisplayName(name, 'name')).toThrow(expect.objectContaining({ field: 'name' }))
    },
  )

  it.each(['Ada', 'Ünï Çödé', '東京', '👩‍👩‍👧', '<b>x</b>', "O'Hara & Söhne"])('%s is kept as it is', (name) => {
    expect(parseDisplayName(` ${name} `, 'name')).toBe(name.normalize('NFC'))
  })
})

describe('where to go after signing in', () => {
  const origin = 'https://portcullis.example'
  it.each([
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '\\/evil.example',
    '/\t/evil.example',
    '/\n/evil.example',
    'javascript:alert(1)',
    '/..//evil.example',
    '/a/..//evil.example',
    '/.//evil.example',
    '',
    'login',
    '/api/v1/agents',
    '/connect/github',
    '/login',
    `/${'x'.repeat(3_000)}`,
  ])('%j leads to the start page', (input) => {
    expect(safeReturnPath(input, origin)).toBe('/')
  })

  it.each(['/', '/connections?state=active#top', '/agents/agt_1', '/%2f%2fevil.example'])('%s is kept', (input) => {
    expect(safeReturnPath(input, origin)).toBe(input)
  })

  it('is on this origin whatever was asked for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        for (const input of [text, `/${text}`, `//${text}`, `/\\${text}`])
          if (new URL(safeReturnPath(input, origin), origin).origin !== origin) return false
        return true
      }),
    )
  })
})

describe('cookies and secrets', () => {
  it('a cookie sent twice is no cookie', () => {
    expect(findCookie('a=1; b=2', 'a')).toBe('1')
    expect(findCookie('a=1; a=2', 'a')).toBeUndefined()
    expect(findCookie('xa=1', 'a')).toBeUndefined()
    expect(findCookie(undefined, 'a')).toBeUndefined()
  })

  it('a secret has its prefix and its length exactly', () => {
    const secret = newSecret('pcw_')
    expect(isSecret('pcw_', secret)).toBe(true)
    for (const wrong of [
      undefined,
      '',
      'pcw_',
      `${secret}A`,
      secret.slice(0, -1),
      `pck_${secret.slice(4)}`,
      ` ${secret}`,
    ])
      expect(isSecret('pcw_', wrong)).toBe(false)
  })
})

describe('a slug', () => {
  it.each([
    ['Analytical Engines', 'analytical-engines'],
    ['  Ünï -- Çödé! ', 'uni-code'],
    ['東京', 'workspace'],
    ['x'.repeat(80), 'x'.repeat(40)],
  ])('of %s is %s', (name, slug) => {
    expect(slugOf(name)).toBe(slug)
  })

  it('always has the shape the database asks for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (name) =>
        /^[a-z0-9](-?[a-z0-9])*$/.test(slugOf(name)),
      ),
    )
  })
})
