import { isRecord, send } from '@/app/_client/request'
import type { ActionResult } from '@/components/action'

/**
 * Asks for a link by mail.
 *
 * @param onMailFolder  told where mails lie on a server that sends none
 */
export async function askByMail(
  path: `/signin/${string}`,
  email: string,
  onMailFolder: (folder: string | undefined) => void,
): Promise<ActionResult> {
  const answer = await send('POST', path, { email }, (body) =>
    isRecord(body) && typeof body['mailFolder'] === 'string' ? body['mailFolder'] : undefined,
  )
  if (!answer.ok) return answer
  onMailFolder(answer.value)
  return { ok: true }
}
