import { LoaderCircle } from 'lucide-react'

import { cn } from '@/components/cn'

/** Decorative; the control that shows it says in words what is under way. */
export function Spinner({ className }: { className?: string | undefined }) {
  return <LoaderCircle aria-hidden className={cn('size-4 animate-spin motion-reduce:animate-breathe', className)} />
}
