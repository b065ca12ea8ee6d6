import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

import { createTcpEgress, type TcpTarget } from './tcp'

let folder: string
let certificate: string
let key: string
const servers: (net.Server | tls.Server)[] = []
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'portcullis-tcp-'))
  const at = (name: string) => path.join(folder, name)
  execFileSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', at('key.pem'), '-out', at('cert.pem'),
  ], { stdio: 'ignore' }) // prettier-ignore
  certificate = readFileSync(at('cert.pem'), 'utf8')
  key = readFileSync(at('key.pem'), 'utf8')
})
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Keeps what it is sent. */
async function receiver(isTls: boolean, onSocket: (socket: net.Socket) => void = () => undefined) {
  const received: string[] = []
  const take = (socket: net.Socket) => {
    let text = ''
    socket.on('data', (bytes: Buffer) => (text += bytes.toString()))
    socket.on('end', () => received.push(text))
    socket.on('error', () => undefined)
    onSocket(socket)
  }
  const server = isTls ? tls.createServer({ cert: certificate, key }, take) : net.createServer(take)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  servers.push(server)
  return { port: (server.address() as AddressInfo).port, received } // it listens on a port
}
const local: Parameters<typeof createTcpEgress>[0]['resolver'] = () =>
  Promise.resolve([{ address: '127.0.0.1', family: 4 }])
const egressOf = (allow: string[], options: object = {}) =>
  createTcpEgress({ allow, allowUnsafe: true, production: false, resolver: local, ...options })
const tcp = (port: number, host = '127.0.0.1'): TcpTarget => ({ host, port, isTls: false })

describe('one text over a connection', () => {
  it('arrives whole, however long', async () => {
    const { port, received } = await receiver(false)
    const text = 'x'.repeat(3_000_000)
    await egressOf([`http://127.0.0.1:${port}`]).send(tcp(port), text)
    await expect.poll(() => received.map(({ length }) => length)).toEqual([3_000_000])
  })

  it('goes over TLS to a server whose certificate is good for its name, and to no other', async () => {
    const { port, received } = await receiver(true)
    const target = { host: 'localhost', port, isTls: true }
    const allow = [`https://localhost:${port}`]
    await expect(egressOf(allow).send(target, 'secret')).rejects.toMatchObject({ code: 'egress.refused' })
    await egressOf(allow, { ca: certificate }).send(target, 'hello')
    await expect.poll(() => received).toEqual(['hello'])
    const other = { ...target, host: 'other.example' }
    await expect(
      egressOf([`https://other.example:${port}`], { ca: certificate }).send(other, 'secret'),
    ).rejects.toMatchObject({ code: 'egress.refused' })
    expect(received).toEqual(['hello'])
  })

  it('never goes unencrypted, nor inside, unless the operator opened exactly that', async () => {
    const { port, received } = await receiver(false)
    await expect(egressOf([]).send(tcp(port), 'x')).rejects.toMatchObject({ code: 'egress.refused' })
    await expect(egressOf([`https://127.0.0.1:${port}`]).send(tcp(port), 'x')).rejects.toMatchObject({
      code: 'egress.refused',
    })
    for (const host of ['127.0.0.1', 'inside.example', '10.0.0.7', '169.254.169.254', '::1'])
      await expect(egressOf([]).send({ host, port, isTls: true }, 'x')).rejects.toMatchObject({
        code: 'egress.refused',
      })
    expect(received).toEqual([])
  })

  it('is refused by a name of which one address is inside', async () => {
    const both: typeof local = () =>
      Promise.resolve([
        { address: '93.184.216.34', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ])
    await expect(
      egressOf([], { resolver: both }).send({ host: 'rebind.example', port: 6514, isTls: true }, 'x'),
    ).rejects.toMatchObject({ code: 'egress.refused' })
  })

  it('fails when the other side resets, or is not there, or takes nothing in time', async () => {
    const { port } = await receiver(false, (socket) => socket.resetAndDestroy())
    const allow = (to: number) => [`http://127.0.0.1:${to}`]
    await expect(egressOf(allow(port)).send(tcp(port), 'x'.repeat(5_000_000))).rejects.toMatchObject({
      code: 'egress.refused',
    })
    await expect(egressOf(allow(1)).send(tcp(1), 'x')).rejects.toMatchObject({ code: 'egress.refused' })
    const stuck = await receiver(false, (socket) => socket.pause())
    await expect(
      egressOf(allow(stuck.port)).send(tcp(stuck.port), 'x'.repeat(30_000_000), { timeoutMs: 300 }),
    ).rejects.toMatchObject({ code: 'egress.timeout' })
  })
})
