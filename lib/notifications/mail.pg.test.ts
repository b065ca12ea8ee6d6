import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { queueMail, type OutgoingMail } from '@/lib/identity/outgoing-mail'
import { hashSecret } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createMailer, MAX_MAIL_ATTEMPTS } from '@/lib/notifications/mail'
import { contentOf, renderMail } from '@/lib/notifications/templates'
import { createFileTransport, createSmtpTransport } from '@/lib/notifications/transport'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, secretOf, type TestIdentity } from '@/lib/testing/identity'

let db: TestDatabases
let id: TestIdentity

beforeAll(async () => {
  db = await createTestDatabases({ max: 16 })
  id = createTestIdentity(db)
})
afterAll(async () => {
  await id.close()
  await db.close()
})

const queue = (mail: OutgoingMail) => db.app.transaction((tx) => queueMail(tx, mail))
const row = async (mailId: string) =>
  (
    await db.adminQuery(
      'app',
      'SELECT status, attempts, extract(epoch FROM next_at - now())::int AS wait FROM mail WHERE id = $1',
      [mailId],
    )
  )[0]

describe('a mail', () => {
  it('is sent once, however many workers have its job', async () => {
    const mailId = await queue({ kind: 'password_changed', email: 'once@example.com' })
    const results = await Promise.all(Array.from({ length: 8 }, () => id.mailer.send(mailId)))
    expect(results.filter((result) => result === 'sent')).toHaveLength(1)
    expect(results.filter((result) => result === 'not_mine')).toHaveLength(7)
    expect(id.sent.filter((mail) => mail.to === 'once@example.com')).toHaveLength(1)
  })

  it('whose job was lost is found by the scan', async () => {
    const mailId = await queue({ kind: 'password_changed', email: 'lost@example.com' })
    expect(await id.mailer.due(10)).toContain(mailId)
    await id.mailer.send(mailId)
    expect(await id.mailer.due(10)).not.toContain(mailId)
  })

  it('of a worker that died while sending is due again later, not at once', async () => {
    const mailId = await queue({ kind: 'password_changed', email: 'died@example.com' })
    // What the claim of a process that then dies leaves behind.
    await db.adminQuery('app', "UPDATE mail SET attempts = 1, next_at = now() + interval '120 seconds' WHERE id = $1", [
      mailId,
    ])
    expect(await id.mailer.send(mailId)).toBe('not_mine')
    await db.adminQuery('app', 'UPDATE mail SET next_at = now() WHERE id = $1', [mailId])
    expect(await id.mailer.send(mailId)).toBe('sent')
  })

  it('is tried again with growing pauses, and given up after ten', async () => {
    const mailId = await queue({ kind: 'password_changed', email: 'away@example.com' })
    id.deliverAs({ kind: 'later', code: 'ECONNECTION' })
    const waits: number[] = []
    for (let attempt = 1; attempt < MAX_MAIL_ATTEMPTS; attempt += 1) {
      expect(await id.mailer.send(mailId)).toBe('deferred')
      waits.push(Number((await row(mailId))?.['wait']))
      await db.adminQuery('app', 'UPDATE mail SET next_at = now() WHERE id = $1', [mailId])
    }
    expect(waits.every((wait, index) => index === 0 || wait > waits[index - 1]!)).toBe(true)
    expect(await id.mailer.send(mailId)).toBe('failed')
    expect(await row(mailId)).toMatchObject({ status: 'failed', attempts: MAX_MAIL_ATTEMPTS })
    id.deliverAs({ kind: 'delivered' })
    expect(await id.mailer.send(mailId)).toBe('not_mine')
  })

  it('that the server refuses for good is not tried again', async () => {
    const mailId = await queue({ kind: 'password_changed', email: 'gone@example.com' })
    id.deliverAs({ kind: 'refused', code: 'EENVELOPE_550' })
    expect(await id.mailer.send(mailId)).toBe('failed')
    id.deliverAs({ kind: 'delivered' })
  })

  it('gets its secret when it is sent, and a second try makes the first secret worthless', async () => {
    await id.person('mint@example.com')
    const browser = newBrowser()
    await id.signIn.askForMagicLink('mint@example.com', browser)
    const waiting = await db.adminQuery('app', 'SELECT secret_hash FROM email_token WHERE used_at IS NULL')
    expect(waiting).toEqual([{ secret_hash: null }])
    const mailId = id.announced.at(-1)!
    expect(await id.mailer.send(mailId)).toBe('sent')
    const first = secretOf(id.sent.at(-1))
    const [stored] = await db.adminQuery('app', 'SELECT secret_hash FROM email_token WHERE used_at IS NULL')
    expect(stored?.['secret_hash']).toEqual(hashSecret(first))
    const whole = await db.adminQuery(
      'app',
      "SELECT (SELECT string_agg(m::text, ' ') FROM mail m) || (SELECT string_agg(t::text, ' ') FROM email_token t) AS text",
    )
    expect(whole[0]?.['text']).not.toContain(first.slice(4, 16))

    await db.adminQuery('app', "UPDATE mail SET status = 'queued', next_at = now() WHERE id = $1", [mailId])
    expect(await id.mailer.send(mailId)).toBe('sent')
    await expect(id.signIn.withMagicLink(first, browser)).rejects.toMatchObject({ code: 'auth.link_invalid' })
    await id.signIn.withMagicLink(secretOf(id.sent.at(-1)), browser)
  })

  it('whose link expired before it could be sent is dropped', async () => {
    await id.signIn.askForMagicLink('mint@example.com', newBrowser())
    await db.adminQuery('app', 'UPDATE email_token SET expires_at = now() WHERE used_at IS NULL')
    expect(await id.mailer.send(id.announced.at(-1)!)).toBe('dropped')
  })

  it('of a kind this version does not know is dropped rather than sent half understood', async () => {
    const mailId = await queue({ kind: 'password_changed', email: 'x@example.com' })
    await db.adminQuery('app', "UPDATE mail SET kind = 'from_the_future' WHERE id = $1", [mailId])
    expect(await id.mailer.send(mailId)).toBe('dropped')
  })

  it('leads nowhere but to pages of ours', async () => {
    for (const target of ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:x']) {
      const mailId = await queue({
        kind: 'notice',
        email: 'x@example.com',
        data: { title: 't', body: 'b', path: target },
      })
      expect(await id.mailer.send(mailId), target).toBe('dropped')
    }
  })
})

describe('what people chose', () => {
  const hostile = '</p><script>alert(1)</script>"\'&\r\nBcc: all@example.com\u202e'
  const facts = {
    kind: 'notice',
    name: hostile,
    title: `Connected ${hostile}`,
    body: `Workspace ${hostile} invites you`,
    label: hostile,
    url: 'https://portcullis.example/?a=1&b="2"',
  } as const

  it('stays text in the HTML part and one line in the subject', () => {
    const mail = renderMail(contentOf(facts))
    expect(mail.html).not.toMatch(/<script|<\/p><s|"2"|\u202e/)
    expect(mail.html).toContain('&lt;script&gt;')
    expect(mail.subject).not.toMatch(/[\r\n\u202e]/)
    expect(mail.text).not.toMatch(/^Bcc:/m)
  })

  it('adds no header and no recipient to what a mail server gets', async () => {
    const server = await smtpSink()
    const transport = createSmtpTransport({
      url: `smtp://127.0.0.1:${server.port}?ignoreTLS=true`,
      from: 'Portcullis <no-reply@example.com>',
    })
    const mail = renderMail(contentOf(facts))
    // Past our own cleaning as well: the library must hold by itself.
    for (const subject of [mail.subject, 'Hello\r\nBcc: all@example.com\r\n\r\nbody'])
      expect(await transport.deliver('mai_test', 'ada@example.com', { ...mail, subject })).toEqual({
        kind: 'delivered',
      })
    transport.close()
    await server.close()
    expect(server.recipients).toEqual(['<ada@example.com>', '<ada@example.com>'])
    for (const message of server.messages) {
      const head = message.slice(0, message.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ')
      const names = head.split('\r\n').map((line) => line.split(':')[0]?.toLowerCase())
      expect(names).not.toContain('bcc')
      expect(names).toEqual(expect.arrayContaining(['from', 'to', 'subject', 'message-id', 'auto-submitted']))
    }
  })
})

describe('a mail server', () => {
  const mail = { subject: 's', text: 't', html: '<p>t</p>' }
  it.each([
    ['550 no such user', { kind: 'refused', code: 'EENVELOPE_550' }],
    ['450 greylisted', { kind: 'later', code: 'EENVELOPE_450' }],
  ])('that answers "%s" is understood', async (answer, expected) => {
    const server = await smtpSink(answer)
    const transport = createSmtpTransport({
      url: `smtp://127.0.0.1:${server.port}?ignoreTLS=true`,
      from: 'a@example.com',
    })
    expect(await transport.deliver('mai_test', 'ada@example.com', mail)).toEqual(expected)
    transport.close()
    await server.close()
  })

  it('that is away is asked again later', async () => {
    const transport = createSmtpTransport({ url: 'smtp://127.0.0.1:1', from: 'a@example.com' })
    expect(await transport.deliver('mai_test', 'ada@example.com', mail)).toMatchObject({ kind: 'later' })
    transport.close()
  })
})

describe('without a mail server', () => {
  it('a mail is a file that only its owner reads, and its path is told', async () => {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'portcullis-mail-'))
    const told: string[] = []
    const dir = path.join(dataDir, 'mail')
    const transport = createFileTransport({ dir, from: 'P <p@example.com>', onWritten: (file) => told.push(file) })
    const mailer = createMailer({
      appDb: db.app,
      transport,
      publicUrl: 'http://localhost:3000',
      log: createLog('test', 'silent'),
    })
    const browser = newBrowser()
    await id.person('file@example.com')
    await id.signIn.askForMagicLink('file@example.com', browser)
    expect(await mailer.send(id.announced.at(-1)!)).toBe('sent')
    expect(told).toEqual(readdirSync(dir).map((name) => path.join(dir, name)))
    expect(statSync(told[0]!).mode & 0o777).toBe(0o600)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    const text = readFileSync(told[0]!, 'utf8')
    expect(text).toMatch(/^To: file@example\.com\nFrom: P <p@example\.com>\nSubject: Your link/)
    const secret = /^http:\/\/localhost:3000\/magic-link#(pcm_.+)$/m.exec(text)?.[1]
    await id.signIn.withMagicLink(secret!, browser)
    rmSync(dataDir, { recursive: true, force: true })
  })
})

/** The few words of SMTP (RFC 5321) that a client needs; keeps what it was given. */
async function smtpSink(rcptAnswer = '250 ok') {
  const messages: string[] = []
  const recipients: string[] = []
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    let buffer = ''
    let inData = false
    const say = (line: string) => socket.write(`${line}\r\n`)
    say('220 sink')
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1')
      for (;;) {
        const end = inData ? buffer.indexOf('\r\n.\r\n') : buffer.indexOf('\r\n')
        if (end < 0) return
        const line = buffer.slice(0, end)
        buffer = buffer.slice(end + (inData ? 5 : 2))
        if (inData) {
          messages.push(line)
          inData = false
          say('250 kept')
        } else if (line.startsWith('EHLO')) say('250 sink')
        else if (line.startsWith('RCPT TO:')) {
          if (rcptAnswer.startsWith('250')) recipients.push(line.slice('RCPT TO:'.length))
          say(rcptAnswer)
        } else if (line === 'DATA') {
          inData = true
          say('354 go on')
        } else if (line === 'QUIT') {
          say('221 bye')
          socket.end()
        } else say('250 ok')
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port, // listening on TCP
    messages,
    recipients,
    close: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
