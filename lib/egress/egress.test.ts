import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { gzipSync } from 'node:zlib'

import { afterEach, describe, expect, it } from 'vitest'

import { createEgress, EgressError, type Egress, type EgressOptions, type Resolver } from './egress'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Listener {
  readonly port: number
  readonly origin: string
  connections(): number
}

async function listen(server: Server, host = '127.0.0.1', port = 0): Promise<Listener> {
  let connections = 0
  server.on('connection', () => (connections += 1))
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        if ('closeAllConnections' in server && typeof server.closeAllConnections === 'function')
          (server.closeAllConnections as () => void).call(server) // node:http servers have it, node:net ones do not
      }),
  )
  const address = server.address() as AddressInfo // a TCP server that listens
  return { port: address.port, origin: `http://${host}:${address.port}`, connections: () => connections }
}

const web = (listener: RequestListener, host?: string, port?: number) => listen(createServer(listener), host, port)

function egressFor(options: Partial<EgressOptions> = {}): Egress {
  const egress = createEgress({ allow: [], allowUnsafe: false, production: false, ...options })
  closing.push(() => egress.close())
  return egress
}

const open = (listener: Listener, options: Partial<EgressOptions> = {}) =>
  egressFor({ allow: [listener.origin], allowUnsafe: true, ...options })

const failure = (promise: Promise<unknown>): Promise<EgressError> =>
  promise.then(
    () => expect.unreachable('the request went through'),
    (error: unknown) => {
      if (error instanceof EgressError) return error
      throw error
    },
  )

const scripted = (...answers: string[][]): Resolver => {
  let call = 0
  return (hostname) => {
    const answer = answers[Math.min(call, answers.length - 1)] ?? []
    call += 1
    if (hostname === 'silent.test') return new Promise(() => undefined)
    return Promise.resolve(answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
  }
}

describe('targets that lead inside', () => {
  const forms = [
    'https://127.0.0.1:PORT/',
    'https://127.1:PORT/',
    'https://127.0.1:PORT/',
    'https://2130706433:PORT/',
    'https://0x7f000001:PORT/',
    'https://0x7f.1:PORT/',
    'https://0177.0.0.1:PORT/',
    'https://017700000001:PORT/',
    'https://0:PORT/',
    'https://0.0.0.0:PORT/',
    'https://localhost:PORT/',
    'https://LOCALHOST:PORT/',
    'https://localhost.:PORT/',
    'https://127.0.0.1.:PORT/',
    'https://[::1]:PORT/',
    'https://[::]:PORT/',
    'https://[::ffff:127.0.0.1]:PORT/',
    'https://[::ffff:7f00:1]:PORT/',
    'https://[::127.0.0.1]:PORT/',
    'https://[64:ff9b::7f00:1]:PORT/',
    'https://[64:ff9b:1::7f00:1]:PORT/',
    'https://[2002:7f00:1::]:PORT/',
    'https://[fc00::1]:PORT/',
    'https://[fe80::1]:PORT/',
    'https://169.254.169.254/latest/meta-data/',
    'https://10.0.0.1:PORT/',
    'https://172.16.0.1:PORT/',
    'https://192.168.0.1:PORT/',
    'https://100.64.0.1:PORT/',
    'https://１２７.0.0.1:PORT/',
    'https://127。0。0。1:PORT/',
    'https://user@127.0.0.1:PORT/',
    'https://accounts.google.com@127.0.0.1:PORT/',
    'https://accounts.google.com:x@localhost:PORT/',
    'http://127.0.0.1:PORT/',
    'HTTP://127.0.0.1:PORT/',
    'ftp://127.0.0.1:PORT/',
    'file:///etc/passwd',
    'data:text/plain,hello',
    'gopher://127.0.0.1:PORT/',
    'https://127.0.0.1%00.example.com:PORT/',
    'https://exa mple.com/',
    '//127.0.0.1:PORT/',
    '',
  ]

  it.each(forms)('refuses %j without a single connection', async (form) => {
    const target = await web((_request, response) => response.end('inside'))
    const error = await failure(egressFor().request(form.replace('PORT', String(target.port))))
    expect(error.code).toBe('egress.refused')
    expect(error.sent).toBe(false)
    expect(target.connections()).toBe(0)
  })

  it.each([
    ['loopback', ['127.0.0.1']],
    ['a mapped form', ['::ffff:127.0.0.1']],
    ['a private network', ['10.0.0.1']],
    ['a metadata service', ['169.254.169.254']],
    ['one public and one private address', ['93.184.215.14', '127.0.0.1']],
    ['a public AAAA and a private A', ['2606:4700::1111', '192.168.0.1']],
    ['nothing', []],
  ])('refuses a name that resolves to %s', async (_what, addresses) => {
    const target = await web((_request, response) => response.end('inside'))
    const error = await failure(
      egressFor({ resolver: scripted(addresses) }).request(`https://evil.test:${target.port}/`, { timeoutMs: 2_000 }),
    )
    expect(error.code).toBe('egress.refused')
    expect(error.internal['phase']).toBe('address')
    expect(error.sent).toBe(false)
    expect(target.connections()).toBe(0)
  })

  it('gives one error for a target that is filtered, closed, missing or refused, so that nobody can scan through it', async () => {
    const free = await web(() => undefined)
    const closedPort = free.port
    await closing.pop()?.()
    const egress = egressFor({
      allow: [`http://127.0.0.1:${closedPort}`, 'https://silent.test'],
      allowUnsafe: true,
      resolver: scripted(['127.0.0.1']),
    })
    const errors = await Promise.all([
      failure(egress.request(`http://127.0.0.1:${closedPort}/`)),
      failure(egress.request('https://silent.test/', { timeoutMs: 50 })),
      failure(egress.request('https://10.0.0.1/')),
      failure(egress.request('https://127.0.0.1:1/')),
    ])
    expect(new Set(errors.map((error) => `${error.code} ${error.message} ${error.status}`)).size).toBe(1)
  })
})

describe('what a URL may say', () => {
  it.each(['http://93.184.215.14/', 'ftp://93.184.215.14/', 'ws://93.184.215.14/'])(
    'refuses the scheme of %s before it looks at the address',
    async (url) => {
      expect((await failure(egressFor().request(url))).internal['phase']).toBe('scheme')
    },
  )

  it('refuses a user name or password even where the origin is allowed', async () => {
    const target = await web((_request, response) => response.end('inside'))
    for (const user of ['user@', 'user:secret@', ':secret@'])
      expect((await failure(open(target).request(target.origin.replace('//', `//${user}`)))).sent).toBe(false)
    expect(target.connections()).toBe(0)
  })
})

describe('a name that changes its mind', () => {
  it('is connected to at the address that was checked, not at what it says next', async () => {
    const first = await web((_request, response) => response.end('checked'))
    const second = await web((_request, response) => response.end('rebound'), '127.0.0.2', first.port)
    const egress = egressFor({
      allow: [`http://rebind.test:${first.port}`],
      allowUnsafe: true,
      resolver: scripted(['127.0.0.1'], ['127.0.0.2']),
    })
    const url = `http://rebind.test:${first.port}/`
    expect((await egress.request(url)).body.toString()).toBe('checked')
    expect((await egress.request(url, { fresh: true })).body.toString()).toBe('checked')
    expect(second.connections()).toBe(0)
  })

  it('is refused once it leads inside, also in the middle of its life', async () => {
    const target = await web((_request, response) => response.end('inside'))
    let now = 0
    const egress = egressFor({
      allow: [`http://rebind.test:${target.port}`],
      allowUnsafe: true,
      clock: { now: () => new Date(now) },
      resolver: scripted(['127.0.0.1'], ['169.254.169.254'], ['127.0.0.1', '169.254.169.254']),
    })
    const url = `http://rebind.test:${target.port}/`
    expect((await egress.request(url, { fresh: true })).status).toBe(200)
    now += 10_001
    expect((await failure(egress.request(url, { fresh: true }))).code).toBe('egress.refused')
    now += 10_001
    expect((await failure(egress.request(url, { fresh: true }))).code).toBe('egress.refused')
    expect(target.connections()).toBe(1)
  })
})

describe('allowed origins', () => {
  it('open exactly the port that was named', async () => {
    const named = await web((_request, response) => response.end('named'))
    const other = await web((_request, response) => response.end('other'))
    const egress = open(named)
    expect((await egress.request(`${named.origin}/`)).body.toString()).toBe('named')
    expect((await failure(egress.request(`${other.origin}/`))).code).toBe('egress.refused')
    expect((await failure(egress.request(named.origin.replace('127.0.0.1', 'localhost')))).code).toBe('egress.refused')
    expect(other.connections()).toBe(0)
  })

  it('never lead to a metadata service, not even by name', async () => {
    const egress = egressFor({
      allow: ['https://ghe.test'],
      allowUnsafe: true,
      resolver: scripted(['169.254.169.254']),
    })
    expect((await failure(egress.request('https://ghe.test/'))).internal['phase']).toBe('address')
  })

  it('may be private without the unsafe switch, but not loopback', async () => {
    const target = await web((_request, response) => response.end('inside'))
    const egress = egressFor({ allow: [`https://ghe.test:${target.port}`], resolver: scripted(['127.0.0.1']) })
    expect((await failure(egress.request(`https://ghe.test:${target.port}/`))).sent).toBe(false)
    expect(target.connections()).toBe(0)
  })

  it.each([
    [['http://ghe.example.com'], false, false],
    [['https://127.0.0.1:8443'], false, false],
    [['https://localhost:8443'], false, false],
    [['https://ghe.example.com/api'], true, false],
    [['https://*.example.com/x'], true, false],
    [['ghe.example.com'], true, false],
    [['https://user@ghe.example.com'], true, false],
    [['http://ghe.example.com'], true, true],
  ])('are refused at start when %j is not one (unsafe %s, production %s)', (allow, allowUnsafe, production) => {
    expect(() => createEgress({ allow, allowUnsafe, production })).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
  })
})

describe('TLS', () => {
  it('asks for the name, not the pinned address, and refuses a certificate of another name', async () => {
    const names: (string | false | null | undefined)[] = []
    const server = createTlsServer({ key: pem('PRIVATE KEY', KEY), cert: pem('CERTIFICATE', CERTIFICATE) }, (_q, r) =>
      r.end('secure'),
    )
    server.on('secureConnection', (socket) => names.push(socket.servername))
    const target = await listen(server)
    const egress = egressFor({
      allow: [`https://tls.test:${target.port}`, `https://other.test:${target.port}`],
      allowUnsafe: true,
      resolver: scripted(['127.0.0.1']),
      ca: pem('CERTIFICATE', CERTIFICATE),
    })
    expect((await egress.request(`https://tls.test:${target.port}/`)).body.toString()).toBe('secure')
    expect(names).toEqual(['tls.test'])
    const wrongName = await failure(egress.request(`https://other.test:${target.port}/`))
    expect(wrongName.code).toBe('egress.refused')
    expect(wrongName.sent).toBe(false)
  })

  it('refuses an unknown authority whatever the environment says', async () => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    closing.push(async () => {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
    })
    let served = 0
    const target = await listen(
      createTlsServer({ key: pem('PRIVATE KEY', KEY), cert: pem('CERTIFICATE', CERTIFICATE) }, (_q, r) => {
        served += 1
        r.end()
      }),
    )
    const egress = egressFor({
      allow: [`https://tls.test:${target.port}`],
      allowUnsafe: true,
      resolver: scripted(['127.0.0.1']),
    })
    expect((await failure(egress.request(`https://tls.test:${target.port}/`))).code).toBe('egress.refused')
    expect(served).toBe(0)
  })
})

describe('hostile answers', () => {
  it('does not follow a redirect to an inside address', async () => {
    const inside = await web((_request, response) => response.end('inside'))
    const target = await web((_request, response) => {
      response.writeHead(302, { location: `${inside.origin}/` })
      response.end()
    })
    const response = await open(target).request(`${target.origin}/`)
    expect(response.status).toBe(302)
    expect((await open(target).fetch(`${target.origin}/`)).status).toBe(302)
    expect(inside.connections()).toBe(0)
  })

  it('stops a gzip bomb at the cap of what it unpacks to', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    const target = await web((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.end(bomb)
    })
    const error = await failure(open(target).request(`${target.origin}/`, { maxBytes: 100_000 }))
    expect(error.code).toBe('egress.too_large')
    expect(error.sent).toBe(true)
  })

  it.each([
    ['announced', true],
    ['unannounced', false],
  ])('stops a body of 10 MB, %s', async (_what, announced) => {
    const target = await web((_request, response) => {
      if (announced) response.setHeader('content-length', 10_000_000)
      response.end(Buffer.alloc(10_000_000))
    })
    expect((await failure(open(target).request(`${target.origin}/`))).code).toBe('egress.too_large')
  })

  it('stops a drip that never ends at the total time, however alive it looks', async () => {
    const target = await web((_request, response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write('.'), 20)
      response.on('close', () => clearInterval(drip))
    })
    const error = await failure(open(target).request(`${target.origin}/`, { timeoutMs: 300 }))
    expect(error.code).toBe('egress.timeout')
    expect(error.sent).toBe(true)
  })

  it('stops waiting for headers that never come', async () => {
    const target = await web(() => undefined)
    const error = await failure(open(target).request(`${target.origin}/`, { timeoutMs: 100 }))
    expect(error.code).toBe('egress.timeout')
    expect(error.sent).toBe(true)
  })

  it('refuses a hundred thousand headers', async () => {
    const target = await listen(
      createTcpServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${'x-a: b\r\n'.repeat(100_000)}\r\n`))
      }),
    )
    expect((await failure(open(target).request(`${target.origin}/`))).code).toBe('egress.refused')
  })

  it.each(['gzip, gzip', 'zstd', 'unheard-of'])('refuses the encoding %s', async (encoding) => {
    const target = await web((_request, response) => {
      response.writeHead(200, { 'content-encoding': encoding })
      response.end('x')
    })
    expect((await failure(open(target).request(`${target.origin}/`))).code).toBe('egress.refused')
  })

  it('says that a request was sent when the connection breaks in the answer', async () => {
    const target = await web((request, response) => {
      response.writeHead(200, { 'content-length': '10' })
      response.write('half')
      setImmediate(() => request.socket.destroy())
    })
    const error = await failure(open(target).request(`${target.origin}/`, { method: 'POST', body: 'x' }))
    expect(error.sent).toBe(true)
  })

  it('keeps no cookies', async () => {
    const cookies: (string | undefined)[] = []
    const target = await web((request, response) => {
      cookies.push(request.headers.cookie)
      response.setHeader('set-cookie', 'a=b')
      response.end()
    })
    const egress = open(target)
    const response = await egress.request(`${target.origin}/`)
    await egress.request(`${target.origin}/`)
    expect(cookies).toEqual([undefined, undefined])
    expect(response.headers.has('set-cookie')).toBe(false)
  })

  it('unpacks what it asked for', async () => {
    const target = await web((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.end(gzipSync('hello'))
    })
    expect((await open(target).request(`${target.origin}/`)).body.toString()).toBe('hello')
    expect(await (await open(target).fetch(`${target.origin}/`)).text()).toBe('hello')
  })
})

describe('callers', () => {
  it('can give up at any time, and the target sees the connection close', async () => {
    const closed = gate()
    const arrived = gate()
    const target = await web((request) => {
      request.socket.on('close', () => closed.resolve())
      arrived.resolve()
    })
    const caller = new AbortController()
    const pending = failure(open(target).request(`${target.origin}/`, { signal: caller.signal }))
    await arrived.promise
    caller.abort()
    const error = await pending
    expect(error.aborted).toBe(true)
    expect(error.sent).toBe(true)
    await closed.promise
  })

  it('send nothing when they gave up before', async () => {
    const target = await web((_request, response) => response.end())
    const error = await failure(open(target).request(`${target.origin}/`, { signal: AbortSignal.abort() }))
    expect(error.sent).toBe(false)
    expect(target.connections()).toBe(0)
  })

  it('share sockets, except where a request must not meet a dying one', async () => {
    const target = await web((_request, response) => response.end('x'))
    const egress = open(target)
    for (let i = 0; i < 5; i += 1) await egress.request(`${target.origin}/`)
    const shared = target.connections()
    expect(shared).toBeLessThanOrEqual(2)
    for (let i = 0; i < 3; i += 1) await egress.request(`${target.origin}/`, { fresh: true })
    expect(target.connections()).toBe(shared + 3)
  })

  it('open no more sockets to an origin than its bound', async () => {
    let now = 0
    let most = 0
    const target = await web((_request, response) => {
      now += 1
      most = Math.max(most, now)
      setImmediate(() => {
        now -= 1
        response.end()
      })
    })
    const egress = open(target, { connections: 4 })
    await Promise.all(Array.from({ length: 60 }, () => egress.request(`${target.origin}/`)))
    expect(target.connections()).toBeLessThanOrEqual(4)
    expect(most).toBeLessThanOrEqual(4)
  })

  it('cannot smuggle a header line', async () => {
    const target = await web((_request, response) => response.end())
    await expect(
      open(target).request(`${target.origin}/`, { headers: { 'x-a': 'b\r\nhost: inside' } }),
    ).rejects.toBeInstanceOf(Error)
    expect(target.connections()).toBe(0)
  })
})

function gate(): { readonly promise: Promise<void>; resolve(): void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((open) => (resolve = open))
  return { promise, resolve: () => resolve() }
}

function pem(label: string, base64: string): string {
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`
}

// A self-signed pair for the name tls.test, valid from 2020 to 2120; it guards nothing.
const KEY =
  'MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9b+DIFAgqLITrVzfXcaGmFIfCurpyh/00h/EYninGJuhRANCAARHiNO6EesrCs3hXEYZV4w+u20mXRYzWeDJ3KRpfdnSycpZq3eDcDtTAk8AZXd42lxaxo4pS66wagrEhAKiZQYy'
const CERTIFICATE =
  'MIIBXDCCAQGgAwIBAgIBATAKBggqhkjOPQQDAjATMREwDwYDVQQDDAh0bHMudGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwIdGxzLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARHiNO6EesrCs3hXEYZV4w+u20mXRYzWeDJ3KRpfdnSycpZq3eDcDtTAk8AZXd42lxaxo4pS66wagrEhAKiZQYyo0QwQjATBgNVHREEDDAKggh0bHMudGVzdDAMBgNVHRMEBTADAQH/MB0GA1UdDgQWBBT3obnTUvwo5ZS6uRAH752e6e0WPDAKBggqhkjOPQQDAgNJADBGAiEAvJNLY4KGtBe6YqTLI8FmUBcRQC9YPef8YdAndE8+FoYCIQC03sZlj17VtdKpu4e2a2AVN33eDp361FPSwtZyCC5qoA=='
