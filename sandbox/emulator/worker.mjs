// @ts-check
/**
 * Runs the emulated APIs on a thread of its own, where time and randomness are the parent's. The emulators keep their
 * state in memory only and draw ids and timestamps from the machine; with both of them given from outside, the log of
 * accepted writes replayed in order rebuilds the very same state, ids and times included.
 *
 * @module
 */
import crypto from 'node:crypto'
import http from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { parentPort } from 'node:worker_threads'

if (parentPort === null) throw new Error('the emulator runs as a worker thread')
const port = parentPort

const MachineDate = Date
/** @type {number | undefined} */
let frozenAt
let offsetMs = 0
const now = () => frozenAt ?? MachineDate.now() + offsetMs
/** @type {typeof Date} */
const GivenDate = new Proxy(MachineDate, {
  construct: (target, parameters) => Reflect.construct(target, parameters.length === 0 ? [now()] : parameters),
  apply: () => new MachineDate(now()).toString(),
  get: (target, key) => (key === 'now' ? now : Reflect.get(target, key)),
})
globalThis.Date = GivenDate

let seed = 'start'
let drawn = 0
/** @param {number} size */
function given(size) {
  const parts = []
  for (let have = 0; have < size; have += 32) {
    parts.push(crypto.createHash('sha256').update(`${seed}:${drawn}`).digest())
    drawn += 1
  }
  return Buffer.concat(parts).subarray(0, size)
}
Object.assign(crypto, {
  randomBytes: given,
  randomUUID: () => {
    const hex = given(16).toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  },
})
// An emulator that is told its public address no longer says which port it took: ask the server itself.
const createServer = http.createServer
/** @type {http.Server | undefined} */
let opened
Object.assign(http, {
  createServer: (/** @type {any[]} any: the overloads of createServer */ ...parameters) => {
    opened = Reflect.apply(createServer, http, parameters)
    return opened
  },
})
syncBuiltinESMExports()

const { createEmulator } = await import('emulate')

port.on('message', async (message) => {
  if (message.type === 'start') {
    seed = message.service
    drawn = 0
    frozenAt = message.now
    await createEmulator({
      service: message.service,
      port: 0,
      hostname: '127.0.0.1',
      baseUrl: message.baseUrl,
      seed: message.seed,
    })
    frozenAt = undefined
    const address = opened?.address()
    port.postMessage({ id: message.id, port: typeof address === 'object' ? address?.port : undefined })
    return
  }
  if (message.type === 'enter') {
    seed = message.seed
    drawn = 0
    frozenAt = message.now
  } else if (message.type === 'leave') {
    frozenAt = undefined
    offsetMs = message.offsetMs
  }
  port.postMessage({ id: message.id })
})
port.postMessage({ ready: true })
