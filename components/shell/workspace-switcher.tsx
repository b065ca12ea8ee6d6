'use client'

import { Check, ChevronsUpDown } from 'lucide-react'

import { cn } from '@/components/cn'
import { MenuButton } from '@/components/ui/menu-button'

export interface WorkspaceChoice {
  readonly id: string
  readonly name: string
}

/**
 * Names the workspace every action on the page belongs to. With one workspace it is plain text: a menu with one entry
 * would promise a choice.
 */
export function WorkspaceSwitcher({
  current,
  workspaces,
  onSwitch,
  className,
}: {
  current: WorkspaceChoice
  workspaces: readonly WorkspaceChoice[]
  onSwitch?: ((id: string) => void) | undefined
  className?: string
}) {
  const face = (
    <>
      <span
        aria-hidden
        className="grid size-6 shrink-0 place-items-center rounded-sm bg-sunken text-xs font-semibold text-muted uppercase"
      >
        {current.name.charAt(0)}
      </span>
      <span className="min-w-0 flex-1 truncate text-left text-sm font-medium">
        <span className="sr-only">Workspace: </span>
        {current.name}
      </span>
    </>
  )
  const box = cn('flex h-10 w-full items-center gap-2.5 rounded-md border border-line px-2', className)
  if (workspaces.length < 2 || onSwitch === undefined) return <div className={box}>{face}</div>
  return (
    <MenuButton
      className={cn(box, 'hover:bg-hover')}
      entries={[
        { kind: 'label', text: 'Workspaces' },
        {
          kind: 'choice',
          value: current.id,
          onChoose: onSwitch,
          choices: workspaces.map(({ id, name }) => ({ value: id, text: name })),
        },
      ]}
    >
      {face}
      <ChevronsUpDown aria-hidden className="size-4 shrink-0 text-muted" />
    </MenuButton>
  )
}

/** The same choice as a plain list, for the sheet on a phone. */
export function WorkspaceList({
  current,
  workspaces,
  onSwitch,
}: {
  current: WorkspaceChoice
  workspaces: readonly WorkspaceChoice[]
  onSwitch?: ((id: string) => void) | undefined
}) {
  return (
    <div>
      <h3 className="mb-1 px-3 text-xs font-medium text-muted">Workspace</h3>
      {workspaces.length < 2 || onSwitch === undefined ? (
        <p className="px-3 py-1.5 font-medium">{current.name}</p>
      ) : (
        <ul>
          {workspaces.map((workspace) => (
            <li key={workspace.id}>
              <button
                type="button"
                aria-pressed={workspace.id === current.id}
                onClick={() => onSwitch(workspace.id)}
                className="flex min-h-11 w-full items-center justify-between gap-3 rounded-md px-3 text-left hover:bg-hover"
              >
                <span className="truncate">{workspace.name}</span>
                {workspace.id === current.id ? <Check aria-hidden className="size-4 shrink-0 text-accent-ink" /> : null}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
