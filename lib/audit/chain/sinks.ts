/**
 * Where checkpoints are told. Each place gets a statement as one line of JSON and resolves when it has it for good.
 *
 * @module
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, stat } from 'node:fs/promises'
import path from 'node:path'

import { AwsV4Signer } from 'aws4fetch'
import { createHash } from 'node:crypto'
import { z } from 'zod'

import type { Clock } from '../../clock'
import type { OperatorEgress } from '../../egress/operator'
import { AppError } from '../../errors'
import type { TenantId } from '../../ids'
import type { Secret } from '../../secret'
import { statementSchema, type Statement } from './statement'

export const SINK_NAMES = ['file', 's3', 'webhook'] as const
export type SinkName = (typeof SINK_NAMES)[number]

export interface CheckpointSink {
  readonly name: SinkName
  /** @throws when it cannot be known that all of them arrived; they are then told again, or newer ones */
  tell(statements: readonly Statement[]): Promise<void>
}

/** A statement by itself, or in what a webhook was sent. */
const lineSchema = z.union([
  statementSchema,
  z
    .object({ type: z.literal(['audit.checkpoint', 'audit.cut']), statement: statementSchema })
    .transform((body) => body.statement),
])
const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024

/**
 * A file a month in a folder, 0600, one statement a line, on disk before anybody is told. Several processes may append to
 * it: each appends whole lines with one write.
 */
export function createFileSink(folder: string): CheckpointSink {
  return {
    name: 'file',
    tell: async (statements) => {
      const [first] = statements
      if (first === undefined) return
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const name = path.join(folder, `checkpoints-${first.at.slice(0, 7)}.jsonl`)
      const file = await open(name, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600)
      try {
        // A line that a power cut left unfinished does not spoil the next one.
        const { size } = await file.stat()
        const { buffer } = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1))
        const isWhole = size === 0 || buffer[0] === 0x0a
        await file.appendFile(`${isWhole ? '' : '\n'}${statements.map((one) => `${JSON.stringify(one)}\n`).join('')}`)
        await file.sync()
      } finally {
        await file.close()
      }
    },
  }
}

export interface ReadStatements {
  readonly statements: readonly Statement[]
  /** Lines that are no statements, such as one that a power cut left unfinished. */
  readonly unreadable: number
}

/**
 * Everything said in a file, or in the files of a folder that end in `.jsonl` or `.json`; line by line, since what is said
 * over the years is much.
 *
 * @param tenant  of this workspace alone; lines that do not name it are not looked at
 * @throws when there is no such file or folder
 */
export async function readStatements(place: string, tenant?: TenantId): Promise<ReadStatements> {
  const names = (await stat(place)).isDirectory()
    ? (await readdir(place, { recursive: true }))
        .filter((name) => /\.jsonl?$/.test(name))
        .sort()
        .map((name) => path.join(place, name))
    : [place]
  const statements: Statement[] = []
  let unreadable = 0
  for (const name of names) {
    const file = await open(name)
    for await (const line of file.readLines()) {
      if (line.trim() === '' || (tenant !== undefined && !line.includes(tenant))) continue
      const parsed = lineSchema.safeParse(parseJson(line))
      if (!parsed.success) unreadable += 1
      else if (tenant === undefined || parsed.data.tenant === tenant) statements.push(parsed.data)
    }
  }
  return { statements, unreadable }
}

export interface S3Options {
  /** Bucket and prefix, by path: `https://s3.eu-central-1.amazonaws.com/bucket/prefix`. */
  readonly url: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: Secret
  readonly egress: Pick<OperatorEgress, 'request'>
  readonly clock: Clock
}

/**
 * An object each, `<prefix>/<tenant>/<position>-<hash>.json`, written once: a checkpoint that is there already was this one.
 * Give the key of this account no right to delete or to overwrite, and the bucket a lock.
 */
export function createS3Sink(options: S3Options): CheckpointSink {
  const base = options.url.replace(/\/+$/, '')
  const put = async (statement: Statement) => {
    const name = `${String(statement.position).padStart(16, '0')}-${statement.hash.slice(0, 16)}.json`
    const body = `${JSON.stringify(statement)}\n`
    const signer = new AwsV4Signer({
      method: 'PUT',
      url: `${base}/${statement.tenant}/${name}`,
      headers: {
        'content-type': 'application/json',
        'x-amz-content-sha256': createHash('sha256').update(body).digest('hex'),
      },
      body,
      accessKeyId: options.accessKeyId,
      secretAccessKey: options.secretAccessKey.reveal(),
      service: 's3',
      region: options.region,
      datetime: options.clock
        .now()
        .toISOString()
        .replace(/[:-]|\.\d{3}/g, ''),
    })
    const { url, headers } = await signer.sign()
    const { status } = await options.egress.request(url, {
      method: 'PUT',
      headers: Object.fromEntries(headers),
      body,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    })
    if (status < 200 || status >= 300)
      throw new AppError('service.unavailable', 'The store did not take a checkpoint.', { internal: { status } })
  }
  return {
    name: 's3',
    tell: async (statements) => {
      for (const statement of statements) await put(statement)
    },
  }
}

export interface WebhookOptions {
  readonly url: string
  /** As other webhooks are signed (Standard Webhooks). */
  readonly sign: (id: string, at: Date, body: string) => Readonly<Record<string, string>>
  readonly egress: Pick<OperatorEgress, 'request'>
  readonly clock: Clock
}

/** One POST each, `{"type":"audit.checkpoint","statement":{…}}`, under an id that is the same for the same statement. */
export function createWebhookSink({ url, sign, egress, clock }: WebhookOptions): CheckpointSink {
  return {
    name: 'webhook',
    tell: async (statements) => {
      for (const statement of statements) {
        const body = JSON.stringify({ type: `audit.${statement.kind}`, statement })
        const id = `${statement.kind}_${statement.tenant}_${statement.position}_${statement.hash.slice(0, 16)}`
        const { status } = await egress.request(url, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            'user-agent': 'Portcullis-Webhook/1',
            ...sign(id, clock.now(), body),
          },
          body,
          timeoutMs: TIMEOUT_MS,
          maxBytes: MAX_ANSWER_BYTES,
        })
        if (status < 200 || status >= 300)
          throw new AppError('service.unavailable', 'The webhook did not take a checkpoint.', { internal: { status } })
      }
    },
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
