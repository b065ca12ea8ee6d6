/**
 * Builds the message of a draft. Every part is typed: addresses are checked, free text is encoded, and no argument can
 * end a header line, so nobody can smuggle in another recipient or a body of their own.
 *
 * @see RFC 5322 §2.2, RFC 2047 §2, RFC 2045 §6.8
 * @module
 */
export interface Draft {
  readonly to: readonly string[]
  readonly cc: readonly string[]
  readonly bcc: readonly string[]
  readonly subject: string
  /** Plain text. */
  readonly body: string
  /** `<id@host>` of the message replied to. */
  readonly inReplyTo?: string | undefined
}

export const MESSAGE_ID = /^<[!-;=?-~]{1,250}>$/

/** @throws TypeError when a part could end its header. Arguments are checked before; this is the second lock. */
export function buildMessage(draft: Draft): string {
  const headers = [
    ...addresses('To', draft.to),
    ...addresses('Cc', draft.cc),
    ...addresses('Bcc', draft.bcc),
    `Subject: ${encodeHeaderText(draft.subject)}`,
    ...(draft.inReplyTo === undefined
      ? []
      : [
          `In-Reply-To: ${checked(draft.inReplyTo, MESSAGE_ID)}`,
          `References: ${checked(draft.inReplyTo, MESSAGE_ID)}`,
        ]),
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
  ]
  const body = Buffer.from(draft.body.toWellFormed().replace(/\r\n|\r|\n/g, '\r\n'), 'utf8').toString('base64')
  return `${headers.join('\r\n')}\r\n\r\n${body.replace(/.{76}/g, '$&\r\n')}\r\n`
}

const ADDRESS = /^[!-'*+\-./0-9=?A-Z^-~]{1,64}@[A-Za-z0-9.-]{1,253}$/

function addresses(name: string, list: readonly string[]): string[] {
  if (list.length === 0) return []
  // One address on each line keeps lines under the 998 characters of RFC 5322 §2.1.1.
  return [`${name}: ${list.map((address) => checked(address, ADDRESS)).join(',\r\n ')}`]
}

function checked(value: string, pattern: RegExp): string {
  if (!pattern.test(value)) throw new TypeError('a header value that is not safe to write')
  return value
}

/** Encoded words of at most 75 characters, split between characters and never inside one (RFC 2047 §2). */
function encodeHeaderText(text: string): string {
  const clean = text.toWellFormed()
  if (/^[\x20-\x7e]{0,70}$/.test(clean) && !clean.includes('=?') && clean === clean.trim()) return clean
  const words: string[] = []
  let chunk = Buffer.alloc(0)
  for (const character of clean) {
    const bytes = Buffer.from(character, 'utf8')
    if (chunk.length + bytes.length > 42) {
      words.push(chunk.toString('base64'))
      chunk = Buffer.alloc(0)
    }
    chunk = Buffer.concat([chunk, bytes])
  }
  words.push(chunk.toString('base64'))
  return words.map((word) => `=?UTF-8?B?${word}?=`).join('\r\n ')
}
