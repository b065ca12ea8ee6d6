import { FlaskConical, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'

import { cn } from '@/components/cn'

/** A strip above everything: what holds for the whole installation, not for one page. */
function Strip({ tone, icon, children }: { tone: string; icon: ReactNode; children: ReactNode }) {
  return (
    <div
      role="status"
      className={cn('flex items-center justify-center gap-2 border-b px-4 py-2 text-center text-sm', tone)}
    >
      {icon}
      <p className="text-pretty">{children}</p>
    </div>
  )
}

export function SandboxBanner() {
  return (
    <Strip
      tone="border-info-line bg-info-soft text-info-ink"
      icon={<FlaskConical aria-hidden className="size-4 shrink-0" />}
    >
      <strong className="font-semibold">Sandbox</strong> – data is local and made up.
    </Strip>
  )
}

/** @param reason  the readiness check's public reason */
export function NotReadyBanner({ reason }: { reason: string }) {
  return (
    <Strip
      tone="border-warning-line bg-warning-soft text-warning-ink"
      icon={<TriangleAlert aria-hidden className="size-4 shrink-0" />}
    >
      <strong className="font-semibold">Service not ready:</strong> {reason}
    </Strip>
  )
}
