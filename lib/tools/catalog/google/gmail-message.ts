/**
 * Reads the MIME tree of a Gmail message: its text, and what is attached. Bounded in depth and size, because a sender
 * chooses both.
 *
 * @module
 */
import { z } from 'zod'

export const headersWire = z.array(z.object({ name: z.string(), value: z.string() })).default([])

export interface PartWire {
  mimeType?: string | undefined
  filename?: string | undefined
  headers?: { name: string; value: string }[] | undefined
  body?: { size?: number | undefined; data?: string | undefined; attachmentId?: string | undefined } | undefined
  parts?: PartWire[] | undefined
}
export const partWire: z.ZodType<PartWire> = z.object({
  mimeType: z.string().optional(),
  filename: z.string().optional(),
  headers: headersWire.optional(),
  body: z
    .object({ size: z.number().optional(), data: z.string().optional(), attachmentId: z.string().optional() })
    .optional(),
  get parts() {
    return z.array(partWire).optional()
  },
})

export function headerOf(
  headers: readonly { readonly name: string; readonly value: string }[] | undefined,
  name: string,
): string {
  return headers?.find((header) => header.name.toLowerCase() === name.toLowerCase())?.value ?? ''
}

const MAX_DEPTH = 20
const MAX_PARTS = 200

export interface MessageContent {
  readonly text: string
  /** What the text was made from. */
  readonly format: 'plain' | 'html' | 'none'
  readonly attachments: readonly { readonly filename: string; readonly mime_type: string; readonly size: number }[]
}

/** The text a person would read first: the first plain part, else the first HTML part without its markup. */
export function contentOf(root: PartWire): MessageContent {
  const attachments: { filename: string; mime_type: string; size: number }[] = []
  let plain: string | undefined
  let html: string | undefined
  let seen = 0
  const visit = (part: PartWire, depth: number): void => {
    seen += 1
    if (depth > MAX_DEPTH || seen > MAX_PARTS) return
    const type = part.mimeType ?? ''
    if (part.filename !== undefined && part.filename !== '')
      attachments.push({ filename: part.filename.slice(0, 255), mime_type: type, size: part.body?.size ?? 0 })
    else if (type === 'text/plain') plain ??= decode(part.body?.data)
    else if (type === 'text/html') html ??= decode(part.body?.data)
    for (const child of part.parts ?? []) visit(child, depth + 1)
  }
  visit(root, 0)
  if (plain !== undefined) return { text: plain, format: 'plain', attachments }
  if (html !== undefined) return { text: textOfHtml(html), format: 'html', attachments }
  return { text: '', format: 'none', attachments }
}

const decode = (data: string | undefined): string | undefined =>
  data === undefined ? undefined : Buffer.from(data, 'base64url').toString('utf8')

/** Enough for reading, not a renderer: what is hidden in tags, scripts and styles is dropped. */
function textOfHtml(html: string): string {
  return html
    .slice(0, 500_000)
    .replace(/<(script|style|head|title)\b[^]*?<\/\1\s*>/gi, ' ')
    .replace(/<!--[^]*?-->/g, ' ')
    .replace(/<(br|\/p|\/div|\/tr|\/li|\/h[1-6])\b[^>]{0,1000}>/gi, '\n')
    .replace(/<[^>]{0,5000}>/g, ' ')
    .replace(/&(nbsp|amp|lt|gt|quot|#39|#x27);/g, (_, name: string) => ENTITIES[name] ?? ' ')
    .replace(/[ \t\u00a0]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}

const ENTITIES: Readonly<Record<string, string>> = {
  nbsp: ' ',
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
  '#x27': "'",
}
