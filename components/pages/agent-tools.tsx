'use client'

import { Search, Wrench } from 'lucide-react'
import Link from 'next/link'
import { useId, useState } from 'react'

import type { Action } from '@/components/action'
import { cn } from '@/components/cn'
import type { ToolGroup, ToolOffer } from '@/components/pages/agent-types'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { Card } from '@/components/ui/card'
import { Checkbox } from '@/components/ui/checkbox'
import { EmptyState } from '@/components/ui/empty-state'
import { Input } from '@/components/ui/input'
import { ProviderMark } from '@/components/ui/provider-mark'
import { EffectBadge } from '@/components/ui/status-badge'
import { useToast } from '@/components/ui/toast'
import { useAction } from '@/components/use-action'

/**
 * Ticks the tools of a profile. Nothing is in force until it is saved, and saving names the version it was based on, so
 * that two people cannot silently overwrite each other.
 */
export function AgentTools({
  groups,
  profileVersion,
  canManage,
  onSave,
}: {
  groups: readonly ToolGroup[]
  profileVersion: number
  canManage: boolean
  onSave: Action<{ allow: readonly string[]; baseVersion: number }>
}) {
  const saved = new Set(
    groups.flatMap((group) => group.tools.filter((tool) => tool.isAllowed).map((tool) => tool.name)),
  )
  // The edit is a difference to what the server says, so a refreshed page keeps both the new truth and the unsaved ticks.
  const [flipped, setFlipped] = useState<ReadonlySet<string>>(new Set())
  const [query, setQuery] = useState('')
  const action = useAction(onSave)
  const toast = useToast()
  const searchId = useId()

  const isTicked = (name: string) => saved.has(name) !== flipped.has(name)
  const tick = (names: readonly string[], wanted: boolean) => {
    const next = new Set(flipped)
    for (const name of names) {
      if (saved.has(name) === wanted) next.delete(name)
      else next.add(name)
    }
    setFlipped(next)
  }
  const all = groups.flatMap((group) => group.tools)
  const ticked = all.filter((tool) => isTicked(tool.name))
  const changes = all.filter((tool) => flipped.has(tool.name))
  const save = async () => {
    const result = await action.run({ allow: ticked.map((tool) => tool.name), baseVersion: profileVersion })
    if (result === undefined) return
    setFlipped(new Set())
    toast({ tone: 'success', title: 'Tools saved', description: 'They are in force for the next call.' })
  }

  if (all.length === 0) {
    return (
      <Card>
        <EmptyState icon={Wrench} title="No tool is available on this server" />
      </Card>
    )
  }

  const needle = query.trim().toLowerCase()
  const shown = groups
    .map((group) => ({
      ...group,
      tools: group.tools.filter(
        (tool) => needle === '' || `${tool.title} ${tool.name} ${tool.description}`.toLowerCase().includes(needle),
      ),
    }))
    .filter((group) => group.tools.length > 0)
  const risky = ticked.filter((tool) => tool.effect !== 'read').length

  return (
    <div className="space-y-4">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <div className="relative w-full sm:max-w-xs">
          <label htmlFor={searchId} className="sr-only">
            Filter tools
          </label>
          <Search
            aria-hidden
            className="pointer-events-none absolute top-1/2 left-3 size-4 -translate-y-1/2 text-muted"
          />
          <Input
            id={searchId}
            type="search"
            placeholder="Filter tools"
            value={query}
            onChange={(event) => setQuery(event.target.value)}
            className="pl-9"
          />
        </div>
        <p className="text-sm text-muted" aria-live="polite">
          <span className="tabular-nums">
            {ticked.length} of {all.length}
          </span>{' '}
          ticked{risky === 0 ? '' : `, ${risky} of them can change things`}
        </p>
      </div>
      {shown.length === 0 ? (
        <Card>
          <EmptyState
            icon={Search}
            title={`No tool matches “${query.trim()}”`}
            className="py-10"
            action={<Button onClick={() => setQuery('')}>Show all tools</Button>}
          />
        </Card>
      ) : (
        shown.map((group) => (
          <ToolGroupCard
            key={group.provider}
            group={group}
            canManage={canManage}
            isTicked={isTicked}
            isFlipped={(name) => flipped.has(name)}
            onTick={tick}
          />
        ))
      )}
      {action.error === undefined ? null : <Alert tone="danger" title={action.error.message} />}
      {changes.length === 0 ? null : (
        <div className="sticky bottom-[calc(4.5rem+env(safe-area-inset-bottom))] z-10 flex flex-wrap items-center justify-between gap-3 rounded-lg border border-accent-line bg-raised px-4 py-3 shadow-pop motion-safe:animate-rise lg:bottom-6">
          <p className="text-sm" role="status">
            <strong className="font-medium">{changes.length === 1 ? '1 change' : `${changes.length} changes`}</strong>,
            not saved
          </p>
          <div className="flex gap-2">
            <Button onClick={() => setFlipped(new Set())} disabledReason={action.pending ? 'Saving…' : undefined}>
              Undo
            </Button>
            <Button variant="primary" pending={action.pending} onClick={() => void save()}>
              Save tools
            </Button>
          </div>
        </div>
      )}
    </div>
  )
}

function ToolGroupCard({
  group,
  canManage,
  isTicked,
  isFlipped,
  onTick,
}: {
  group: ToolGroup
  canManage: boolean
  isTicked: (name: string) => boolean
  isFlipped: (name: string) => boolean
  onTick: (names: readonly string[], wanted: boolean) => void
}) {
  const headingId = useId()
  const reads = group.tools.filter((tool) => tool.effect === 'read').map((tool) => tool.name)
  const areReadsTicked = reads.every(isTicked)
  const tickedNames = group.tools.filter((tool) => isTicked(tool.name)).map((tool) => tool.name)
  return (
    <Card aria-labelledby={headingId}>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2 border-b border-line px-4 py-3 md:px-5">
        <ProviderMark provider={group.provider} />
        <div className="min-w-0 flex-1">
          <h2 id={headingId} className="font-semibold">
            {group.providerName}
          </h2>
          <p className="truncate text-sm text-muted">
            {group.accounts.length === 0 ? 'No account connected' : group.accounts.join(', ')}
          </p>
        </div>
        {canManage ? (
          <div className="flex gap-2">
            {reads.length > 0 && !areReadsTicked ? (
              <Button size="sm" variant="ghost" onClick={() => onTick(reads, true)}>
                Tick all reads
              </Button>
            ) : null}
            {tickedNames.length > 0 ? (
              <Button size="sm" variant="ghost" onClick={() => onTick(tickedNames, false)}>
                Clear
              </Button>
            ) : null}
          </div>
        ) : null}
      </div>
      {group.accounts.length > 0 || tickedNames.length === 0 ? null : (
        <Alert
          tone="warning"
          title={`Connect ${group.providerName} for these tools to work`}
          className="m-3 md:mx-5"
          action={
            <Button size="sm" asChild>
              <Link href={`/connections/new?provider=${encodeURIComponent(group.provider)}`}>Connect</Link>
            </Button>
          }
        />
      )}
      <ul className="divide-y divide-line">
        {group.tools.map((tool) => (
          <ToolRow
            key={tool.name}
            tool={tool}
            canManage={canManage}
            isTicked={isTicked(tool.name)}
            isFlipped={isFlipped(tool.name)}
            onTick={(wanted) => onTick([tool.name], wanted)}
          />
        ))}
      </ul>
    </Card>
  )
}

function ToolRow({
  tool,
  canManage,
  isTicked,
  isFlipped,
  onTick,
}: {
  tool: ToolOffer
  canManage: boolean
  isTicked: boolean
  isFlipped: boolean
  onTick: (wanted: boolean) => void
}) {
  const id = useId()
  return (
    <li
      className={cn(
        'relative flex items-start gap-3 px-4 py-3 md:px-5',
        isFlipped && 'bg-accent-soft/60',
        canManage && 'hover:bg-hover/60',
      )}
    >
      <Checkbox
        id={id}
        checked={isTicked}
        disabled={!canManage}
        onCheckedChange={(checked) => onTick(checked === true)}
        aria-describedby={`${id}-d`}
        className="mt-0.5"
      />
      <div className="min-w-0 flex-1">
        <label htmlFor={id} className="font-medium after:absolute after:inset-0 after:cursor-pointer">
          {tool.title}
        </label>
        <div id={`${id}-d`} className="text-sm text-muted">
          <p className="text-pretty">{tool.description}</p>
          <p className="mt-0.5 font-mono text-xs wrap-anywhere">{tool.name}</p>
          {tool.blockedReason !== undefined && isTicked ? (
            <p className="mt-1 text-warning-ink">Hidden from the agent: {tool.blockedReason}</p>
          ) : null}
        </div>
      </div>
      <EffectBadge effect={tool.effect} />
    </li>
  )
}
