/**
 * The few endpoints of next-auth that signing in needs; every other path below `/api/auth/` does not exist.
 *
 * @module
 */
import NextAuth from 'next-auth'
import type { NextRequest } from 'next/server'

import { web } from '@/app/_data/web'
import { isUsedAction } from '@/lib/identity/next-auth'

interface Context {
  readonly params: Promise<{ nextauth: string[] }>
}

async function handle(request: NextRequest, context: Context): Promise<Response> {
  const { nextauth } = await context.params
  if (!isUsedAction(request.method, nextauth)) return new Response(null, { status: 404 })
  const { authOptions, cookies, sessions } = web()
  if (nextauth[0] === 'session') {
    // next-auth takes an unreachable database for an ended session and deletes the cookie. It is asked only when it can know.
    try {
      await sessions.find(request.cookies.get(cookies.session)?.value)
    } catch {
      return new Response(null, { status: 503, headers: { 'retry-after': '5', 'cache-control': 'no-store' } })
    }
  }
  return (await NextAuth(request, context, authOptions)) as Response // what its route handler returns; its own type is any
}

export { handle as GET, handle as POST }
