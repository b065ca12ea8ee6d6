import { cn } from '@/components/cn'

/** Initials on a quiet ground. No pictures are fetched: a remote image would tell its host who looks at this page. */
export function Avatar({ name, className }: { name: string; className?: string }) {
  const words = name
    .replace(/@.*/, '')
    .split(/[\s._-]+/)
    .filter(Boolean)
  const initials = `${words[0]?.charAt(0) ?? '?'}${words.length > 1 ? (words.at(-1)?.charAt(0) ?? '') : ''}`
  return (
    <span
      aria-hidden
      className={cn(
        'grid size-8 shrink-0 place-items-center rounded-full bg-accent-soft text-xs font-semibold text-accent-ink uppercase select-none',
        className,
      )}
    >
      {initials}
    </span>
  )
}
