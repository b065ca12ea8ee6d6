'use client'

import { send, text } from '@/app/_client/request'
import type { ActionResult } from '@/components/action'

/** Takes a deleted workspace back and opens it. */
export async function restoreWorkspace(workspaceId: string): Promise<ActionResult> {
  const result = await send('POST', '/signin/workspace/restore', { workspaceId }, (body) => text(body, 'next'))
  // Loaded anew, so that nothing of another workspace stays in memory.
  if (result.ok) window.location.assign(result.value)
  return result
}
