/**
 * The last net: no run of twelve characters of a credential leaves in a result, whoever put it there and however it was
 * encoded. A provider that echoes its request, a page of debug output in a file, a token pasted into an issue.
 *
 * Searched for are the credential itself, percent-encoded, in base64 and base64url at each of the three byte offsets, and
 * in hexadecimal. Each form is cut into blocks of six at fixed places; a run of twelve contains at least one whole block,
 * so a few substring searches find every run, at any place.
 *
 * @module
 */
const RUN = 12
const BLOCK = 6
export const REDACTED = '[redacted]'

export interface Scrubber {
  /** Adds a credential that is in use from now on. */
  add(secret: string): void
  /** The same text, or one without any run of a credential. */
  text(text: string): string
  /** True when a credential has characters that JSON writes as escapes, so that serialized text may hide a run of it. */
  readonly needsDeepScan: boolean
  /** As `text`, for every string in a JSON value. */
  value(value: unknown): unknown
}

interface Form {
  readonly whole: string
  readonly blocks: readonly { readonly at: number; readonly text: string }[]
}

export function createScrubber(): Scrubber {
  const forms: Form[] = []

  const scrubText = (text: string): string => {
    let clean = text
    for (const form of forms) clean = scrubForm(clean, form)
    return clean
  }
  const scrubValue = (value: unknown): unknown => {
    if (typeof value === 'string') return scrubText(value)
    if (Array.isArray(value)) return value.map(scrubValue)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, scrubValue(member)]))
  }
  let needsDeepScan = false
  return {
    get needsDeepScan() {
      return needsDeepScan
    },
    add: (secret) => {
      needsDeepScan ||= JSON.stringify(secret) !== `"${secret}"`
      for (const whole of formsOf(secret)) forms.push({ whole, blocks: blocksOf(whole) })
    },
    text: scrubText,
    value: scrubValue,
  }
}

function formsOf(secret: string): ReadonlySet<string> {
  const bytes = Buffer.from(secret, 'utf8')
  const hex = bytes.toString('hex')
  const forms = new Set([secret, encodeURIComponent(secret.toWellFormed()), hex, hex.toUpperCase()])
  for (const offset of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    // Characters that also hold bits of what stands before or after the secret are not the secret's own.
    const own = encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
    forms.add(own)
    forms.add(own.replaceAll('+', '-').replaceAll('/', '_'))
  }
  return forms
}

function blocksOf(whole: string): Form['blocks'] {
  if (whole.length < RUN) return whole === '' ? [] : [{ at: 0, text: whole }]
  const blocks: { at: number; text: string }[] = []
  for (let at = 0; at + BLOCK <= whole.length; at += BLOCK) blocks.push({ at, text: whole.slice(at, at + BLOCK) })
  return blocks
}

function scrubForm(text: string, form: Form): string {
  let clean = text
  for (const block of form.blocks) {
    let from = clean.indexOf(block.text)
    while (from !== -1) {
      const [start, end] = matchAround(clean, from, form.whole, block)
      if (end - start >= Math.min(RUN, form.whole.length)) {
        clean = clean.slice(0, start) + REDACTED + clean.slice(end)
        from = clean.indexOf(block.text, start + REDACTED.length)
      } else from = clean.indexOf(block.text, from + 1)
    }
  }
  return clean
}

/** How far the text agrees with the credential around a block found at `from`. */
function matchAround(
  text: string,
  from: number,
  whole: string,
  block: { readonly at: number; readonly text: string },
): [number, number] {
  let start = from
  let before = block.at
  while (start > 0 && before > 0 && text[start - 1] === whole[before - 1]) {
    start -= 1
    before -= 1
  }
  let end = from + block.text.length
  let after = block.at + block.text.length
  while (end < text.length && after < whole.length && text[end] === whole[after]) {
    end += 1
    after += 1
  }
  return [start, end]
}
