/**
 * Where a stream of records goes, and how a batch of them gets there. Everything leaves through the egress client; of an
 * answer only the status counts.
 *
 * | kind    | a batch is                                                                                        |
 * | ------- | ------------------------------------------------------------------------------------------------- |
 * | webhook | one POST, signed as Standard Webhooks has it; its id is the same when the same batch is sent again |
 * | syslog  | RFC 5424 messages, octet counted, over TLS (RFC 5425) or, where the operator opened it, plain TCP  |
 * | s3      | one object of JSON Lines, its name made of the records in it, signed with Signature Version 4      |
 *
 * @module
 */
import { createHash } from 'node:crypto'

import { AwsV4Signer } from 'aws4fetch'
import { z } from 'zod'

import { EgressError, type Egress } from '../egress/egress'
import type { TcpEgress } from '../egress/tcp'
import type { Id, TenantId } from '../ids'
import type { Secret } from '../secret'
import type { ExportedRecord } from './export-page'
import { lineOf, syslogFrame } from './format'

const host = z.string().regex(/^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$/)

export const targetSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('webhook'), url: z.string().min(1).max(2_048) }),
  z.strictObject({ kind: z.literal('syslog'), host, port: z.int().min(1).max(65_535), isTls: z.boolean() }),
  z.strictObject({
    kind: z.literal('s3'),
    /** Of an S3-compatible store; absent: Amazon's own. */
    endpoint: z.string().min(1).max(2_048).optional(),
    region: z.string().regex(/^[a-z0-9-]{1,64}$/),
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/),
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9!_.'()/-]{0,200}$/)
      .default(''),
    accessKeyId: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  }),
])
export type StreamTarget = z.output<typeof targetSchema>

export type SignWebhook = (secret: Secret, id: string, at: Date, body: string) => object

export type BatchResult =
  | { readonly kind: 'taken' }
  | { readonly kind: 'refused'; readonly error: string; readonly waitSeconds?: number }
  /** The other side says that it is gone for good. */
  | { readonly kind: 'gone' }

export interface Batch {
  readonly tenantId: TenantId
  readonly streamId: Id<'auditStream'>
  /** At least one. */
  readonly records: readonly ExportedRecord[]
  readonly at: Date
}

export interface TargetDeps {
  readonly egress: Pick<Egress, 'request'>
  readonly tcp: TcpEgress
  readonly sign: SignWebhook
  /** Of this installation, for syslog. */
  readonly hostname: string
  readonly timeoutMs?: number
}

const MAX_ANSWER_BYTES = 64 * 1024
const LONGEST_WISH_SECONDS = 3_600

export function createTargetSender(deps: TargetDeps) {
  const { egress, tcp, hostname, timeoutMs = 20_000 } = deps

  const post = async (
    url: string,
    method: 'POST' | 'PUT',
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<BatchResult> => {
    const answer = await egress.request(url, { method, headers, body, maxBytes: MAX_ANSWER_BYTES, timeoutMs })
    const { status } = answer
    if (status >= 200 && status < 300) return { kind: 'taken' }
    if (status === 410 && method === 'POST') return { kind: 'gone' }
    if (status >= 300 && status < 400) return { kind: 'refused', error: 'redirect' }
    const wish = Number(answer.headers.get('retry-after') ?? Number.NaN)
    return {
      kind: 'refused',
      error: `status_${status}`,
      ...(wish > 0 ? { waitSeconds: Math.min(wish, LONGEST_WISH_SECONDS) } : {}),
    }
  }

  const toWebhook = (url: string, secret: Secret, batch: Batch) => {
    const body = JSON.stringify({
      type: 'audit.records',
      timestamp: batch.at.toISOString(),
      data: { workspaceId: batch.tenantId, streamId: batch.streamId, records: batch.records },
    })
    return post(
      url,
      'POST',
      {
        'content-type': 'application/json',
        'user-agent': 'Portcullis-Audit/1',
        ...deps.sign(secret, batchId(batch), batch.at, body),
      },
      body,
    )
  }

  const toS3 = async (target: Extract<StreamTarget, { kind: 's3' }>, secret: Secret, batch: Batch) => {
    const { endpoint = `https://s3.${target.region}.amazonaws.com`, region, bucket, accessKeyId } = target
    const body = batch.records.map((record) => lineOf('jsonl', record)).join('')
    const signer = new AwsV4Signer({
      method: 'PUT',
      url: `${endpoint.replace(/\/+$/, '')}/${bucket}/${objectKey(target.prefix, batch)}`,
      headers: {
        'content-type': 'application/jsonl',
        'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
      },
      body,
      accessKeyId,
      secretAccessKey: secret.reveal(),
      service: 's3',
      region,
    })
    const { url, headers } = await signer.sign()
    return post(url.href, 'PUT', Object.fromEntries(headers), body)
  }

  return async function send(target: StreamTarget, secret: Secret | undefined, batch: Batch): Promise<BatchResult> {
    try {
      if (target.kind === 'syslog') {
        await tcp.send(target, batch.records.map((record) => syslogFrame(record, hostname)).join(''), { timeoutMs })
        return { kind: 'taken' }
      }
      if (secret === undefined) return { kind: 'refused', error: 'secret_unreadable' }
      return await (target.kind === 'webhook' ? toWebhook(target.url, secret, batch) : toS3(target, secret, batch))
    } catch (error) {
      if (error instanceof EgressError) return { kind: 'refused', error: error.code.replace('egress.', '') }
      throw error
    }
  }
}

const edges = ({ records }: Batch) => ({ first: records[0], last: records.at(-1) })

/** The same for the same records. */
function batchId(batch: Batch): string {
  const { first, last } = edges(batch)
  return `${batch.streamId}.${first?.id ?? ''}.${last?.id ?? ''}`
}

/** By day, in the order of the trail. */
function objectKey(prefix: string, batch: Batch): string {
  const { first, last } = edges(batch)
  const at = first?.recordedAt ?? ''
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`
  return `${folder}${batch.tenantId}/${at.slice(0, 10).replaceAll('-', '/')}/${at.replace(/[^0-9]/g, '')}-${first?.id ?? ''}-${last?.id ?? ''}.jsonl`
}
