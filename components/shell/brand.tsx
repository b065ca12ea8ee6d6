import { cn } from '@/components/cn'

/** The gate: three bars, two rails, points below. */
export function BrandMark({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden className={cn('size-8 shrink-0', className)}>
      <rect width="32" height="32" rx="8" className="fill-accent" />
      <g className="stroke-on-accent" strokeWidth="2.2" strokeLinecap="round" strokeLinejoin="round" fill="none">
        <path d="M9.5 8v14.2l1.2 2 1.2-2V8" transform="translate(-1.2 0)" />
        <path d="M14.8 8v14.2l1.2 2 1.2-2V8" />
        <path d="M20.1 8v14.2l1.2 2 1.2-2V8" transform="translate(1.2 0)" />
        <path d="M7 12.5h18M7 18h18" />
      </g>
    </svg>
  )
}

export function Brand({ className }: { className?: string }) {
  return (
    <span className={cn('flex items-center gap-2.5 font-semibold tracking-tight', className)}>
      <BrandMark />
      Portcullis
    </span>
  )
}
