'use client'

import { useCallback, useState } from 'react'

import { useWhileVisible } from '@/app/_client/live'
import { flag, load, maybeNumber, maybeText } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import { AuditIntegrity, type Trail, type Verification } from '@/components/pages/audit-integrity'

const path = '/api/v1/workspace/trail'
const restMs = 5_000
const busyMs = 500

/** The record's own state; asked in the browser, because the pages cannot read it. */
export function IntegrityPage({
  isAllowed,
  canExport,
  canKeep,
}: {
  isAllowed: boolean
  canExport: boolean
  canKeep: boolean
}) {
  const [trail, setTrail] = useState<Trail | 'loading' | 'failed'>('loading')
  const read = useCallback(async (signal?: AbortSignal): Promise<boolean> => {
    const answer = await load(path, parseTrail, signal).catch((error: unknown) => {
      if (signal?.aborted !== true) setTrail((shown) => (typeof shown === 'string' ? 'failed' : shown))
      throw error
    })
    setTrail((shown) => (answer.ok ? answer.value : typeof shown === 'string' ? 'failed' : shown))
    return answer.ok
  }, [])
  const status = typeof trail === 'string' ? undefined : trail.verification?.status
  useWhileVisible(
    (signal) => (isAllowed ? read(signal) : Promise.resolve(true)),
    status === 'queued' || status === 'running' ? busyMs : restMs,
  )

  return (
    <AuditIntegrity
      trail={isAllowed ? trail : 'forbidden'}
      canExport={canExport}
      canKeep={canKeep}
      onRetry={() => {
        setTrail('loading')
        void read().catch(() => undefined)
      }}
      onVerify={async () => {
        const result = await send('POST', `${path}/verification`, {}, parseVerification)
        if (result.ok)
          setTrail((shown) => (typeof shown === 'string' ? shown : { ...shown, verification: result.value }))
        return result
      }}
      onKeep={async ({ days }) => {
        const result = await send('PATCH', path, { retentionDays: days ?? null }, parseTrail)
        if (result.ok) setTrail(result.value)
        return result
      }}
    />
  )
}

function parseTrail(body: unknown): Trail {
  if (!isRecord(body)) throw new TypeError('the answer is no object')
  return {
    retentionDays: maybeNumber(body, 'retentionDays') ?? undefined,
    position: number(body, 'position'),
    hash: maybeText(body, 'hash') ?? undefined,
    linkedAt: maybeText(body, 'linkedAt') ?? undefined,
    waiting: number(body, 'waiting'),
    waitingSeconds: number(body, 'waitingSeconds'),
    cutAt: number(body, 'cutAt'),
    cuts: list(body['cuts']).map((one) => ({
      position: number(one, 'position'),
      cutAt: text(one, 'cutAt'),
      keyId: text(one, 'keyId'),
    })),
    checkpoints: list(body['checkpoints']).map((one) => ({
      sink: text(one, 'sink'),
      position: number(one, 'position'),
      toldAt: text(one, 'toldAt'),
    })),
    verification: body['verification'] === null ? undefined : parseVerification(body['verification']),
  }
}

function parseVerification(body: unknown): Verification {
  if (!isRecord(body)) throw new TypeError('the answer is no object')
  const { report } = body
  const status = text(body, 'status')
  return {
    status: status === 'queued' || status === 'running' || status === 'done' ? status : 'failed',
    done: number(body, 'done'),
    total: number(body, 'total'),
    endedAt: maybeText(body, 'endedAt') ?? undefined,
    isTooLong: maybeText(body, 'error') === 'too_long',
    report: !isRecord(report)
      ? undefined
      : {
          ok: flag(report, 'ok'),
          from: number(report, 'from'),
          to: number(report, 'to'),
          checked: number(report, 'checked'),
          vouchedTo: number(report, 'vouchedTo'),
          erased: number(report, 'erased'),
          problems: list(report['problems']).map((one) => ({
            kind: text(one, 'kind'),
            position: maybeNumber(one, 'position') ?? undefined,
            recordId: maybeText(one, 'recordId') ?? undefined,
            detail: text(one, 'detail'),
          })),
        },
  }
}

function number(body: unknown, key: string): number {
  const value = maybeNumber(body, key)
  if (value === null) throw new TypeError(`the answer has no ${key}`)
  return value
}

function list(value: unknown): Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value)) throw new TypeError('the answer has no list')
  return value.filter(isRecord)
}
