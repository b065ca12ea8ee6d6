'use client'

import { useCallback, useState } from 'react'

import { useCatalogue } from '@/app/_client/catalogue'
import { useWhileVisible } from '@/app/_client/live'
import { flag, items, load, maybeNumber, maybeText } from '@/app/_client/load'
import { send, text } from '@/app/_client/request'
import { AuditExports, type ExportRow } from '@/components/pages/audit-exports'

const path = '/api/v1/activity/exports'
const everyMs = 2_000

/** The exports of the workspace with how far they are; asked in the browser, because the pages cannot read them. */
export function ExportsPage({
  isAllowed,
  agents,
  people,
}: {
  isAllowed: boolean
  agents: readonly { readonly id: string; readonly name: string }[]
  people: readonly { readonly id: string; readonly name: string }[]
}) {
  const [exports, setExports] = useState<readonly ExportRow[] | 'loading' | 'failed'>('loading')
  const catalogue = useCatalogue()
  const read = useCallback(async (signal?: AbortSignal): Promise<boolean> => {
    const list = await load(path, (body) => items(body, parseExport), signal).catch((error: unknown) => {
      if (signal?.aborted !== true) setExports((shown) => (typeof shown === 'string' ? 'failed' : shown))
      throw error
    })
    setExports((shown) => (list.ok ? list.value : typeof shown === 'string' ? 'failed' : shown))
    return list.ok
  }, [])
  useWhileVisible((signal) => (isAllowed ? read(signal) : Promise.resolve(true)), everyMs)

  return (
    <AuditExports
      exports={isAllowed ? exports : 'forbidden'}
      agents={agents}
      people={people}
      tools={catalogue.kind === 'ready' ? catalogue.catalogue.tools.map(({ name }) => name) : []}
      onRetry={() => {
        setExports('loading')
        void read().catch(() => undefined)
      }}
      onCreate={async (wanted) => {
        const result = await send('POST', path, { ...wanted }, (body) => text(body, 'id'))
        if (result.ok) await read().catch(() => undefined)
        return result
      }}
      onDownload={async ({ id }) => {
        // A download is a navigation and cannot ask for a proof: whether it may is asked before.
        const result = await send('POST', `${path}/${id}/download`, {}, () => undefined)
        if (result.ok) window.location.assign(`${path}/${id}/file`)
        return result
      }}
      onDelete={async ({ id }) => {
        const result = await send('DELETE', `${path}/${id}`, {}, () => undefined)
        if (result.ok) await read().catch(() => undefined)
        return result
      }}
    />
  )
}

function parseExport(item: Readonly<Record<string, unknown>>): ExportRow {
  const status = text(item, 'status')
  return {
    id: text(item, 'id'),
    format: text(item, 'format'),
    status:
      status === 'queued' || status === 'running' || status === 'ready' || status === 'expired' ? status : 'failed',
    done: maybeNumber(item, 'done') ?? 0,
    total: maybeNumber(item, 'total') ?? undefined,
    bytes: maybeNumber(item, 'bytes') ?? 0,
    isCut: flag(item, 'isCut'),
    createdAt: text(item, 'createdAt'),
    expiresAt: text(item, 'expiresAt'),
    error: maybeText(item, 'error') ?? undefined,
  }
}
