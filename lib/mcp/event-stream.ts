/**
 * Server-sent events to one client, bounded: what it does not read is not piled up.
 *
 * A stream with a number is resumable: its last events are kept under ids, so that a client whose connection broke gets
 * what it missed from the next one (MCP 2025-11-25, "Resumability and Redelivery").
 *
 * @module
 */
import type { ServerResponse } from 'node:http'

export interface EventStream {
  readonly number: number
  /** True once nothing more will be sent. */
  readonly isDone: boolean
  send(message: unknown): void
  /** Goes on with this connection instead of the former, after the events that follow `afterEvent`. */
  attach(response: ServerResponse, afterEvent?: number, onGone?: () => void): void
  /** Closes the connection; what is sent meanwhile is kept for the next one. */
  pause(): void
  /** Sends nothing more and closes the connection. */
  end(): void
}

export interface EventStreamOptions {
  /** Undefined: events have no ids and a broken connection ends the stream. */
  readonly number?: number
  readonly keepAliveMs?: number
}

const KEEP_ALIVE_MS = 15_000
const MAX_KEPT = 100
const MAX_KEPT_BYTES = 256 * 1024
/** A client that reads nothing while this much waits for it is cut off. */
const MAX_UNREAD_BYTES = 1024 * 1024

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
}

export function createEventStream(options: EventStreamOptions = {}): EventStream {
  const isResumable = options.number !== undefined
  const number = options.number ?? 0
  const kept: { readonly at: number; readonly text: string }[] = []
  let keptBytes = 0
  let sent = 0
  let connection: ServerResponse | undefined
  let keepAlive: NodeJS.Timeout | undefined
  let isDone = false

  const write = (text: string) => {
    if (connection === undefined) return
    connection.write(text)
    if (connection.writableLength > MAX_UNREAD_BYTES) connection.destroy()
  }
  const keep = (at: number, text: string) => {
    kept.push({ at, text })
    keptBytes += text.length
    while (kept.length > MAX_KEPT || (keptBytes > MAX_KEPT_BYTES && kept.length > 1))
      keptBytes -= kept.shift()?.text.length ?? 0
  }
  const detach = () => {
    clearInterval(keepAlive)
    connection = undefined
  }

  return {
    number,
    get isDone() {
      return isDone
    },
    send(message) {
      if (isDone) return
      sent += 1
      const id = isResumable ? `id: ${number}-${sent}\n` : ''
      const text = `${id}event: message\ndata: ${JSON.stringify(message)}\n\n`
      if (isResumable) keep(sent, text)
      write(text)
    },
    attach(response, afterEvent, onGone) {
      connection?.end()
      detach()
      connection = response
      response.writeHead(200, HEADERS)
      // The head goes out at once: a client waits for it before it takes the stream for open.
      response.flushHeaders()
      if (isResumable && sent === 0) write(`id: ${number}-0\ndata: \n\n`)
      if (afterEvent !== undefined) for (const { at, text } of kept) if (at > afterEvent) write(text)
      if (isDone) {
        response.end()
        detach()
        return
      }
      keepAlive = setInterval(() => {
        write(': keepalive\n\n')
      }, options.keepAliveMs ?? KEEP_ALIVE_MS).unref()
      response.once('close', () => {
        if (connection !== response) return
        detach()
        if (!isResumable) isDone = true
        onGone?.()
      })
    },
    pause() {
      const last = connection
      detach()
      last?.end()
    },
    end() {
      isDone = true
      const last = connection
      detach()
      last?.end()
    },
  }
}
