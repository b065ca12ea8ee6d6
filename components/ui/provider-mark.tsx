import { Plug } from 'lucide-react'

import { cn } from '@/components/cn'
import { FACES } from '@/lib/providers/catalog/faces'
import type { MarkPath } from '@/lib/providers/face'

const strokes: Readonly<Record<MarkPath['color'], string>> = {
  red: 'stroke-mark-red',
  yellow: 'stroke-mark-yellow',
  green: 'stroke-mark-green',
  blue: 'stroke-mark-blue',
  ink: 'stroke-mark-ink',
}

const fills: Readonly<Record<MarkPath['color'], string>> = {
  red: 'fill-mark-red',
  yellow: 'fill-mark-yellow',
  green: 'fill-mark-green',
  blue: 'fill-mark-blue',
  ink: 'fill-mark-ink',
}

/** Our own simple sign for a provider; decorative, the name always stands beside it. */
export function ProviderMark({ provider, className }: { provider: string; className?: string }) {
  const mark: readonly MarkPath[] | undefined = FACES.find((face) => face.name === provider)?.mark
  return (
    <span
      aria-hidden
      className={cn('grid size-9 shrink-0 place-items-center rounded-md border border-line bg-surface', className)}
    >
      {mark === undefined ? (
        <Plug className="size-1/2 text-muted" />
      ) : (
        <svg viewBox="0 0 24 24" aria-hidden className="size-[58%]" fill="none">
          {mark.map(({ d, color, width, isRound = false }) => (
            <path
              key={d}
              d={d}
              className={width === undefined ? fills[color] : strokes[color]}
              strokeWidth={width}
              strokeLinecap={isRound ? 'round' : undefined}
              strokeLinejoin={isRound ? 'round' : undefined}
            />
          ))}
        </svg>
      )}
    </span>
  )
}
