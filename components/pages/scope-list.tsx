import { Check, X } from 'lucide-react'

import type { ScopeLine } from '@/components/pages/connection-types'
import { EffectBadge } from '@/components/ui/status-badge'

/** Permissions in plain words, each with its reason; the provider's own spelling stands below for who wants to compare. */
export function ScopeList({ scopes, isGranted = true }: { scopes: readonly ScopeLine[]; isGranted?: boolean }) {
  return (
    <ul className="divide-y divide-line">
      {scopes.map((scope) => (
        <li key={scope.scope} className="flex items-start gap-3 py-3 first:pt-0 last:pb-0">
          {isGranted ? (
            <Check aria-label="Granted" className="mt-1 size-4 shrink-0 text-success" />
          ) : (
            <X aria-label="Not granted" className="mt-1 size-4 shrink-0 text-warning" />
          )}
          <div className="min-w-0 flex-1">
            <p className="font-medium">{scope.plain}</p>
            {scope.why === undefined ? null : <p className="text-sm text-muted">{scope.why}</p>}
            <p className="mt-0.5 font-mono text-xs wrap-anywhere text-muted">{scope.scope}</p>
          </div>
          <EffectBadge effect={scope.access} />
        </li>
      ))}
    </ul>
  )
}
