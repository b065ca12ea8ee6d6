/**
 * The stateful APIs behind the fronts: `emulate`'s services on a worker thread, rebuilt at every start from the log of
 * writes they accepted. It trusts its caller completely (the emulators accept any bearer); only a front that has checked
 * token, expiry, scope and arguments calls it.
 *
 * A write runs alone, at a recorded instant and with recorded randomness, and is logged before it is answered; reads run
 * together between writes. So ids and timestamps are the same after a restart.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import type { VirtualClock } from '@/sandbox/core/clock'
import type { Store } from '@/sandbox/core/store'

export type Service = 'github' | 'google' | 'slack'

export interface PlaneRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly user: string
  readonly body?: string
  readonly contentType?: string
}

export interface PlaneReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

interface LoggedWrite {
  readonly service: Service
  readonly request: PlaneRequest
  readonly at: number
  readonly seed: string
  readonly status: number
}

export interface ServiceSetup {
  readonly service: Service
  readonly baseUrl: string
  /** Seed of the emulator itself, `tokens` excluded. */
  readonly seed: Record<string, unknown>
  readonly users: readonly string[]
  /** Writes made once, in order, each at its own instant: the company's life before the first visit. */
  readonly history: readonly { readonly at: number; readonly request: PlaneRequest }[]
}

/** The emulators allow each token 5,000 calls an hour: spread over enough of them, the limit is never theirs. */
const TOKENS_PER_USER = 200
const LOG = 'write'

export class EmulatorPlane {
  readonly #clock: VirtualClock
  readonly #store: Store
  readonly #worker: Worker
  readonly #ports = new Map<Service, number>()
  readonly #waiting = new Map<number, (answer: { port?: number }) => void>()
  #messages = 0
  #calls = 0
  #writes = 0
  #readers = 0
  #turn: Promise<void> = Promise.resolve()
  #readersGone: (() => void) | undefined

  private constructor(clock: VirtualClock, store: Store, worker: Worker) {
    this.#clock = clock
    this.#store = store
    this.#worker = worker
    worker.on('message', (message: { id?: number; port?: number }) => {
      if (message.id === undefined) return
      this.#waiting.get(message.id)?.(message)
      this.#waiting.delete(message.id)
    })
  }

  /** Starts every service and brings it to the state it was in. */
  static async start(
    clock: VirtualClock,
    store: Store,
    foundedAt: number,
    services: readonly ServiceSetup[],
  ): Promise<EmulatorPlane> {
    const worker = new Worker(workerFile(), { stdout: false, stderr: false })
    await new Promise<void>((resolve, reject) => {
      worker.once('message', () => {
        resolve()
      })
      worker.once('error', reject)
    })
    worker.unref()
    const plane = new EmulatorPlane(clock, store, worker)
    for (const setup of services) await plane.#startService(setup, foundedAt)
    for (const logged of store.all(LOG) as LoggedWrite[]) {
      const reply = await plane.#replay(logged)
      if (reply.status !== logged.status) throw new Error(`a logged ${logged.service} write no longer applies`)
      plane.#writes += 1
    }
    return plane
  }

  async #startService(setup: ServiceSetup, foundedAt: number): Promise<void> {
    const { service, users } = setup
    const tokens = users.flatMap((user) =>
      Array.from({ length: TOKENS_PER_USER }, (_, i) => ({ token: emulatorToken(user, i), user })),
    )
    const answer = await this.#tell({
      type: 'start',
      service,
      now: foundedAt,
      baseUrl: setup.baseUrl,
      seed: {
        tokens: Object.fromEntries(tokens.map(({ token, user }) => [token, { login: user }])),
        [service]: { ...setup.seed, ...(service === 'slack' ? { tokens } : {}) },
      },
    })
    if (answer.port === undefined) throw new Error(`the ${service} emulator did not start`)
    this.#ports.set(service, answer.port)
    for (const [index, { at, request }] of setup.history.entries()) {
      const reply = await this.#replay({ service, request, at, seed: `${service}-history-${index}`, status: 0 })
      if (reply.status >= 300) {
        throw new Error(`${service} refused its history at ${request.method} ${request.target}: ${reply.body}`)
      }
    }
  }

  /** A call that changes nothing. */
  async read(service: Service, request: PlaneRequest): Promise<PlaneReply> {
    await this.#turn
    this.#readers += 1
    try {
      return await this.#send(service, request)
    } finally {
      this.#readers -= 1
      if (this.#readers === 0) this.#readersGone?.()
    }
  }

  /** A call that changes something. Logged when it was accepted, before anyone hears of it. */
  async write(service: Service, request: PlaneRequest): Promise<PlaneReply> {
    const before = this.#turn
    let done: () => void = () => undefined
    this.#turn = new Promise((resolve) => {
      done = resolve
    })
    try {
      await before
      if (this.#readers > 0) {
        await new Promise<void>((resolve) => {
          this.#readersGone = resolve
        })
        this.#readersGone = undefined
      }
      const write = { service, request, at: this.#clock.nowMs(), seed: randomBytes(16).toString('hex'), status: 0 }
      const reply = await this.#replay(write)
      if (accepted(service, reply)) {
        this.#writes += 1
        this.#store.put(LOG, String(this.#writes).padStart(12, '0'), { ...write, status: reply.status })
      }
      return reply
    } finally {
      done()
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  async #replay({ service, request, at, seed }: LoggedWrite): Promise<PlaneReply> {
    await this.#tell({ type: 'enter', now: at, seed })
    try {
      return await this.#send(service, request)
    } finally {
      await this.#tell({ type: 'leave', offsetMs: this.#clock.nowMs() - Date.now() })
    }
  }

  #tell(message: Record<string, unknown>): Promise<{ port?: number }> {
    this.#messages += 1
    const id = this.#messages
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#worker.postMessage({ ...message, id })
    })
  }

  #send(service: Service, { method, target, user, body, contentType }: PlaneRequest): Promise<PlaneReply> {
    const port = this.#ports.get(service)
    if (port === undefined) throw new Error(`the ${service} emulator is not running`)
    this.#calls += 1
    const token = emulatorToken(user, this.#calls % TOKENS_PER_USER)
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        {
          host: '127.0.0.1',
          port,
          method,
          path: target,
          headers: {
            authorization: `Bearer ${token}`,
            ...(body === undefined
              ? {}
              : { 'content-type': contentType ?? 'application/json', 'content-length': Buffer.byteLength(body) }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.on('error', reject)
          incoming.on('end', () => {
            const headers: Record<string, string> = {}
            for (const [name, value] of Object.entries(incoming.headers))
              if (typeof value === 'string') headers[name] = value
            resolve({ status: incoming.statusCode ?? 0, headers, body: Buffer.concat(chunks).toString('utf8') })
          })
        },
      )
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }
}

const emulatorToken = (user: string, index: number): string => `emulator-${user}-${index}`

const accepted = (service: Service, reply: PlaneReply): boolean =>
  reply.status < 300 && (service !== 'slack' || reply.body.startsWith('{"ok":true'))

/** In the source tree this code belongs to, found from the source itself and from a bundle inside the tree alike. */
function workerFile(): string {
  for (let folder = path.dirname(fileURLToPath(import.meta.url)); ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'sandbox', 'emulator', 'worker.mjs')
    if (existsSync(file)) return file
    if (path.dirname(folder) === folder) throw new Error('sandbox/emulator/worker.mjs is missing')
  }
}
