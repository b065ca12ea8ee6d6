/**
 * Where a rendered mail goes: to the operator's mail server, or, when there is none, into a file under the data folder
 * that only this account can read. The mail server is set by the operator alone; no tenant chooses a host here.
 *
 * @module
 */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { createTransport } from 'nodemailer'

import { headerText, type RenderedMail } from './templates'

export type DeliveryResult =
  | { readonly kind: 'delivered'; readonly file?: string }
  /** Not now: the server is away, busy or out of space. */
  | { readonly kind: 'later'; readonly code: string }
  /** Never: the server refused this mail for good. */
  | { readonly kind: 'refused'; readonly code: string }

export interface MailTransport {
  /** @param to  an address that parsed as one */
  deliver(id: string, to: string, mail: RenderedMail): Promise<DeliveryResult>
  close(): void
}

const TIMEOUTS = { connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 30_000, dnsTimeout: 10_000 }

/** Longer than any delivery can take; a mail claimed longer ago was claimed by a process that died. */
export const DELIVERY_LIMIT_MS = 60_000

export function createSmtpTransport(options: { readonly url: string; readonly from: string }): MailTransport {
  const transport = createTransport({
    url: options.url,
    pool: true,
    maxConnections: 2,
    maxMessages: 100,
    ...TIMEOUTS,
    // A mail is text we rendered; nothing in it may make the library read a file or fetch an address.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async deliver(id, to, mail) {
      let timer: NodeJS.Timeout | undefined
      try {
        const late = new Promise<never>((_, reject) => {
          timer = setTimeout(
            () => reject(Object.assign(new Error('mail delivery took too long'), { code: 'ETIMEDOUT' })),
            DELIVERY_LIMIT_MS,
          )
        })
        await Promise.race([
          transport.sendMail({
            from: options.from,
            to: { name: '', address: to },
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            // The same for every try, so that a server or reader can tell a second copy from a second mail.
            messageId: `<${id}@portcullis.invalid>`,
            headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
          }),
          late,
        ])
        return { kind: 'delivered' }
      } catch (error) {
        return failure(error)
      } finally {
        clearTimeout(timer)
      }
    },
    close: () => transport.close(),
  }
}

/** RFC 5321 §4.2.1: 5yz to the recipient or the data is final, except where it is about us (530, 535) or sending at all. */
function failure(error: unknown): DeliveryResult {
  const { code, responseCode } = error as { code?: unknown; responseCode?: unknown } // nodemailer's own fields, read as unknown
  const name = typeof code === 'string' && /^[A-Z_]{1,32}$/.test(code) ? code : 'UNKNOWN'
  const isFinal =
    (name === 'EENVELOPE' || name === 'EMESSAGE') && typeof responseCode === 'number' && responseCode >= 550
  const known = typeof responseCode === 'number' ? `${name}_${responseCode}` : name
  return { kind: isFinal ? 'refused' : 'later', code: known }
}

/** @param onWritten  told where each mail lies, for the line that is printed on loopback */
export function createFileTransport(options: {
  readonly dir: string
  readonly from: string
  readonly onWritten: (file: string) => void
}): MailTransport {
  return {
    async deliver(id, to, mail) {
      try {
        await mkdir(options.dir, { recursive: true, mode: 0o700 })
        const file = path.join(options.dir, `${id}.txt`)
        const fresh = `${file}.${process.pid}`
        const head = [`To: ${headerText(to)}`, `From: ${headerText(options.from)}`, `Subject: ${mail.subject}`]
        await writeFile(fresh, `${head.join('\n')}\n\n${mail.text}`, { mode: 0o600 })
        await rename(fresh, file)
        options.onWritten(file)
        return { kind: 'delivered', file }
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN'
        return { kind: 'later', code }
      }
    },
    close: () => undefined,
  }
}
