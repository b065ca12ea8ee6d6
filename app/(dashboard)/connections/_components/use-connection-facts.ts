'use client'

import { useEffect, useState } from 'react'

import { flag, items, load, maybeText, texts } from '@/app/_client/load'
import { text } from '@/app/_client/request'
import type { TrapLine } from '@/components/pages/connection-types'

/** What the gateway alone can say of a connection, because it needs the provider's own rules. */
export interface ConnectionFacts {
  readonly missingScopes: readonly string[]
  readonly isSandbox: boolean
  readonly traps: readonly TrapLine[]
}

/** What the last page was told: the next one begins with it, and moves nothing when it hears the same again. */
let lastFacts: ReadonlyMap<string, ConnectionFacts> | undefined

/**
 * @param rows  what the page shows; asked again whenever it is rendered anew
 * @returns by connection id; undefined until the answer is there
 */
export function useConnectionFacts(rows: unknown): ReadonlyMap<string, ConnectionFacts> | undefined {
  const [facts, setFacts] = useState(lastFacts)
  useEffect(() => {
    const controller = new AbortController()
    load('/api/v1/connections', parse, controller.signal).then(
      (result) => {
        if (!result.ok || controller.signal.aborted) return
        lastFacts = result.value
        setFacts(result.value)
      },
      () => {
        // The rows stand on their own; the next rendering asks again.
      },
    )
    return () => controller.abort()
  }, [rows])
  return facts
}

function parse(body: unknown): ReadonlyMap<string, ConnectionFacts> {
  return new Map(
    items(body, (item) => [
      text(item, 'id'),
      {
        missingScopes: texts(item['missingScopes']),
        isSandbox: flag(item, 'sandbox'),
        traps: items({ items: item['traps'] }, parseTrap),
      },
    ]),
  )
}

/** A severity of a newer server is shown as the one that asks for care. */
function parseTrap(item: Readonly<Record<string, unknown>>): TrapLine {
  const severity = text(item, 'severity')
  return {
    code: text(item, 'code'),
    severity: severity === 'danger' || severity === 'info' ? severity : 'warning',
    title: text(item, 'title'),
    words: text(item, 'words'),
    advice: maybeText(item, 'advice') ?? undefined,
    at: maybeText(item, 'at') ?? undefined,
  }
}
