/**
 * The last step of signing in: next-auth's own endpoint takes the ticket cookie that the gateway set a moment ago and
 * answers with the session cookie. The page sees neither.
 *
 * @module
 */
import { isRecord, send, text } from '@/app/_client/request'
import type { ActionResult } from '@/components/action'

/** Posts to a step that ends signed in, has the ticket redeemed, and goes on to where the gateway said. */
export async function signInWith(
  path: `/signin/${string}`,
  body: Readonly<Record<string, unknown>>,
): Promise<ActionResult> {
  const answer = await send('POST', path, body, (parsed) => text(parsed, 'next'))
  if (!answer.ok) return answer
  if (!(await redeemTicket()))
    return {
      ok: false,
      error: {
        code: 'auth.not_finished',
        message: 'This browser did not keep the sign-in. Allow cookies for this page, then try again.',
      },
    }
  // Replaced, so that going back does not lead to a spent link; loaded anew, so that nothing of before stays in memory.
  window.location.replace(answer.value)
  return { ok: true }
}

export async function redeemTicket(): Promise<boolean> {
  const csrf = await fetch('/api/auth/csrf', { cache: 'no-store', credentials: 'same-origin' })
  const token: unknown = csrf.ok ? await csrf.json() : undefined
  const csrfToken = isRecord(token) && typeof token['csrfToken'] === 'string' ? token['csrfToken'] : ''
  const answer = await fetch('/api/auth/callback/ticket', {
    method: 'POST',
    cache: 'no-store',
    credentials: 'same-origin',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ csrfToken, callbackUrl: window.location.origin, json: 'true' }),
  })
  return answer.ok
}
