import type { ComponentProps } from 'react'

import { cn } from '@/components/cn'

export function Textarea({ className, rows = 3, ...props }: ComponentProps<'textarea'>) {
  return <textarea rows={rows} className={cn('control py-2', className)} {...props} />
}
