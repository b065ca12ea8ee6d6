'use client'

import type { Action } from '@/components/action'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Ahead } from '@/components/ui/time'
import { useAction } from '@/components/use-action'

export interface DeletedWorkspace {
  readonly id: string
  readonly name: string
  readonly purgeAt: string
}

/** Workspaces that were deleted, while they can be taken back. */
export function DeletedWorkspaces({
  workspaces,
  onRestore,
}: {
  workspaces: readonly DeletedWorkspace[]
  onRestore: Action<{ id: string }>
}) {
  const action = useAction(onRestore)
  return (
    <div className="space-y-2">
      <h3 className="text-sm font-medium text-muted">Deleted, and yours to take back</h3>
      {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
      <ul className="divide-y divide-line">
        {workspaces.map(({ id, name, purgeAt }) => (
          <li key={id} className="flex min-h-14 flex-wrap items-center justify-between gap-3 py-2">
            <div className="min-w-0">
              <p className="font-medium wrap-anywhere">{name}</p>
              <p className="text-sm text-muted">
                <Ahead at={purgeAt} lead="Destroyed " due="About to be destroyed" />
              </p>
            </div>
            <Button
              size="sm"
              pending={action.pending}
              aria-label={`Take back ${name}`}
              onClick={() => void action.run({ id })}
            >
              Take back
            </Button>
          </li>
        ))}
      </ul>
    </div>
  )
}
