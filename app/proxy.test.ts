import { NextRequest } from 'next/server'
import { describe, expect, test } from 'vitest'

import { config, contentSecurityPolicy, proxy } from '@/proxy'

function directives(policy: string | null): Map<string, string[]> {
  return new Map(
    (policy ?? '').split(';').map((part) => {
      const [name = '', ...values] = part.trim().split(/\s+/)
      return [name, values]
    }),
  )
}

function answer(headers: Record<string, string> = {}) {
  return proxy(new NextRequest('https://gate.example/connections', { headers }))
}

describe('the content security policy', () => {
  const policy = directives(contentSecurityPolicy('abc'))

  test('lets no script run that does not carry the nonce of this response', () => {
    expect(policy.get('script-src')).toEqual(["'self'", "'nonce-abc'", "'strict-dynamic'"])
  })

  test('allows style attributes but no style element without the nonce', () => {
    expect(policy.get('style-src')).toEqual(["'self'", "'nonce-abc'"])
    expect(policy.get('style-src-attr')).toEqual(["'unsafe-inline'"])
  })

  test('is framed by nobody, changes no base address and posts forms only home', () => {
    expect(policy.get('frame-ancestors')).toEqual(["'none'"])
    expect(policy.get('base-uri')).toEqual(["'none'"])
    expect(policy.get('form-action')).toEqual(["'self'"])
    expect(policy.get('object-src')).toEqual(["'none'"])
    expect(policy.get('connect-src')).toEqual(["'self'"])
    expect(policy.get('default-src')).toEqual(["'self'"])
  })

  test('opens no other origin, scheme or inline escape anywhere', () => {
    const values = [...policy].filter(([name]) => name !== 'style-src-attr').flatMap(([, list]) => list)
    expect(new Set(values)).toEqual(new Set(["'self'", "'none'", "'nonce-abc'", "'strict-dynamic'", 'data:']))
    expect(policy.get('img-src')).toContain('data:')
    expect(policy.get('script-src')).not.toContain('data:')
  })
})

test('two responses never share a nonce, and each has 128 random bits', () => {
  const nonces = Array.from({ length: 50 }, () => {
    const response = answer()
    return /'nonce-([A-Za-z0-9+/=]+)'/.exec(response.headers.get('Content-Security-Policy') ?? '')?.[1] ?? ''
  })
  expect(new Set(nonces).size).toBe(50)
  for (const nonce of nonces) expect(Buffer.from(nonce, 'base64')).toHaveLength(16)
})

test('a nonce or a policy sent by the client does not reach the renderer', () => {
  const response = answer({
    'x-nonce': 'chosen',
    'x-page-path': '/chosen',
    'content-security-policy': "script-src 'nonce-chosen'",
    'content-security-policy-report-only': "script-src 'nonce-chosen'",
  })
  const forwarded = [...response.headers].filter(([name]) => name.startsWith('x-middleware-request-'))
  expect(forwarded.length).toBeGreaterThan(0)
  expect(JSON.stringify(forwarded)).not.toContain('chosen')
  const nonce = response.headers.get('x-middleware-request-x-nonce')
  expect(response.headers.get('x-middleware-request-content-security-policy')).toBe(contentSecurityPolicy(nonce ?? ''))
  expect(response.headers.get('Content-Security-Policy')).toBe(contentSecurityPolicy(nonce ?? ''))
})

test('the page notes its own path, and never one that a browser takes for another host', () => {
  const noted = (url: string) => proxy(new NextRequest(url)).headers.get('x-middleware-request-x-page-path')
  expect(noted('https://gate.example/agents/agt_1?tab=tools')).toBe('/agents/agt_1?tab=tools')
  expect(noted('https://gate.example//evil.example/x')).toBe('/evil.example/x')
  expect(noted('https://gate.example/\\\\evil.example')).toBe('/evil.example')
})

test('pages are not stored, not sniffed, and tell other sites no address', () => {
  const { headers } = answer()
  expect(headers.get('Cache-Control')).toBe('no-store')
  expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
  expect(headers.get('Referrer-Policy')).toBe('same-origin')
  expect(headers.get('Cross-Origin-Opener-Policy')).toBe('same-origin')
  expect(headers.get('Permissions-Policy')).toContain('camera=()')
})

test('every path is covered except the immutable files of the build', () => {
  const covered = (pathname: string) => config.matcher.some((matcher) => new RegExp(`^${matcher}$`).test(pathname))
  for (const pathname of ['/', '/login', '/connections/con_1', '/api/auth/session', '/nowhere', '/_next/staticky']) {
    expect(covered(pathname), pathname).toBe(true)
  }
  expect(covered('/_next/static/chunks/a.js')).toBe(false)
})
