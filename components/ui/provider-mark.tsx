import { Plug } from 'lucide-react'

import { cn } from '@/components/cn'

const size = 'size-[58%]'

function GoogleMark() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden className={size} fill="none" strokeWidth="3.6">
      <path d="M18.4 6.9A8.2 8.2 0 0 0 5 7.8" className="stroke-mark-red" />
      <path d="M5 7.8a8.2 8.2 0 0 0 0 8.4" className="stroke-mark-yellow" />
      <path d="M5 16.2a8.2 8.2 0 0 0 12.6 1.7" className="stroke-mark-green" />
      <path d="M17.6 17.9A8.2 8.2 0 0 0 20.2 12H12.4" className="stroke-mark-blue" strokeLinejoin="miter" />
    </svg>
  )
}

/** A branch that leaves and returns. */
function GithubMark() {
  return (
    <svg
      viewBox="0 0 24 24"
      aria-hidden
      className={cn(size, 'stroke-mark-ink')}
      fill="none"
      strokeWidth="2.2"
      strokeLinecap="round"
    >
      <circle cx="6.5" cy="5" r="2.4" />
      <circle cx="6.5" cy="19" r="2.4" />
      <circle cx="17.5" cy="7.5" r="2.4" />
      <path d="M6.5 7.6v8.8M17.5 10.1c0 4-5 4.4-8.6 5.6" />
    </svg>
  )
}

function SlackMark() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden className={size} fill="none" strokeWidth="3.4" strokeLinecap="round">
      <path d="M9 3.6v10.6" className="stroke-mark-blue" />
      <path d="M20.4 9H9.8" className="stroke-mark-green" />
      <path d="M15 20.4V9.8" className="stroke-mark-yellow" />
      <path d="M3.6 15h10.6" className="stroke-mark-red" />
    </svg>
  )
}

/** Our own simple sign for a provider; decorative, the name always stands beside it. */
export function ProviderMark({ provider, className }: { provider: string; className?: string }) {
  return (
    <span
      aria-hidden
      className={cn('grid size-9 shrink-0 place-items-center rounded-md border border-line bg-surface', className)}
    >
      {provider === 'google' ? (
        <GoogleMark />
      ) : provider === 'github' ? (
        <GithubMark />
      ) : provider === 'slack' ? (
        <SlackMark />
      ) : (
        <Plug className="size-1/2 text-muted" />
      )}
    </span>
  )
}
