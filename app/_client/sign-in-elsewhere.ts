'use client'

/**
 * Beginning a sign-in at somebody else's: the gateway says where to go, and the browser goes there.
 *
 * @module
 */
import { send, text } from '@/app/_client/request'
import type { ActionResult } from '@/components/action'

export async function beginElsewhere(
  path: '/signin/sso' | `/signin/with/${string}`,
  body: Readonly<Record<string, unknown>>,
): Promise<ActionResult> {
  const answer = await send('POST', path, body, (parsed) => text(parsed, 'location'))
  if (!answer.ok) return answer
  window.location.assign(answer.value)
  return { ok: true }
}
