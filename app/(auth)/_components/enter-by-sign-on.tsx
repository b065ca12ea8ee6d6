'use client'

import { KeyRound } from 'lucide-react'

import { beginElsewhere } from '@/app/_client/sign-in-elsewhere'
import type { ActionResult } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { useAction } from '@/components/use-action'

/** Workspaces that the person belongs to and enters through their organization alone. */
export function EnterBySignOn({
  workspaces,
}: {
  workspaces: readonly { readonly name: string; readonly slug: string }[]
}) {
  const enter = useAction(enterBySignOn)
  return (
    <div className="space-y-3">
      {enter.error === undefined ? null : <Alert tone="danger" title={enter.error.message} />}
      {workspaces.map(({ name, slug }) => (
        <Button
          key={slug}
          variant="primary"
          size="lg"
          block
          pending={enter.pending}
          onClick={() => void enter.run(slug)}
        >
          <KeyRound aria-hidden /> Enter {name}
        </Button>
      ))}
    </div>
  )
}

/** Who signed in a moment ago links what comes back to themself; who did so earlier comes as who they are linked to. */
async function enterBySignOn(workspace: string): Promise<ActionResult> {
  const linking = await beginElsewhere('/signin/sso', { workspace, link: true })
  if (linking.ok || linking.error.code !== 'auth.step_up_required') return linking
  return beginElsewhere('/signin/sso', { workspace })
}
