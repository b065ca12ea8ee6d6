/**
 * Headers for every page: the enforced content security policy with a fresh nonce, and what goes with it. This runs before
 * pages are rendered and decides nothing about access: that is the readers' and the gateway's, since a proxy can be bypassed.
 *
 * @see CSP Level 3 §6 and §8.1 (nonces)
 * @module
 */
import { NextResponse } from 'next/server'
import type { NextRequest } from 'next/server'

const nonceBytes = 16

/** @param nonce  base64, at least 128 random bits, used for one response */
export function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'self'",
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'`,
    `style-src 'self' 'nonce-${nonce}'`,
    // Positions of menus and bars of charts are style attributes; an attribute cannot load or run anything.
    "style-src-attr 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-src 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

export const pageHeaders: Readonly<Record<string, string>> = {
  'Referrer-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy':
    'accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()',
  'Cache-Control': 'no-store',
}

export function proxy(request: NextRequest): NextResponse {
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(nonceBytes))).toString('base64')
  const policy = contentSecurityPolicy(nonce)

  // Next reads the nonce from the policy on the *request*; both are overwritten, so a client cannot choose them.
  const forwarded = new Headers(request.headers)
  forwarded.set('x-nonce', nonce)
  // So that signing in can lead back here. One leading slash: two would name another host.
  forwarded.set('x-page-path', `/${request.nextUrl.pathname.replace(/^[/\\]+/, '')}${request.nextUrl.search}`)
  forwarded.set('Content-Security-Policy', policy)
  forwarded.delete('Content-Security-Policy-Report-Only')

  const response = NextResponse.next({ request: { headers: forwarded } })
  response.headers.set('Content-Security-Policy', policy)
  for (const [name, value] of Object.entries(pageHeaders)) response.headers.set(name, value)
  return response
}

/** Everything but the build's immutable files, which must stay cacheable. */
export const config = { matcher: ['/((?!_next/static/).*)'] }
