'use client'

import { send, text } from '@/app/_client/request'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { useAction } from '@/components/use-action'

export function SignOutButton() {
  const action = useAction<undefined, { readonly ok: true }>(async () => {
    const answer = await send('POST', '/signin/sign-out', {}, (body) => text(body, 'next'))
    if (!answer.ok) return answer
    window.location.replace(answer.value)
    return { ok: true }
  })
  return (
    <div className="space-y-4">
      {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
      <Button size="lg" block pending={action.pending} onClick={() => void action.run(undefined)}>
        Sign out
      </Button>
    </div>
  )
}
