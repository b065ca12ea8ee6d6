import { cn } from '@/components/cn'

/** How much of something is done, in whole steps. */
export function Progress({
  value,
  max,
  label,
  className,
}: {
  value: number
  max: number
  label: string
  className?: string
}) {
  return (
    <progress
      value={value}
      max={max}
      aria-label={label}
      className={cn(
        'block h-1.5 w-full appearance-none overflow-hidden rounded-full bg-line [&::-moz-progress-bar]:bg-accent [&::-webkit-progress-bar]:bg-line [&::-webkit-progress-value]:rounded-full [&::-webkit-progress-value]:bg-accent',
        className,
      )}
    />
  )
}
