/**
 * Finds secrets in anything: every run of twelve characters of each, as it is, in hexadecimal, and in base64 at each of
 * its three alignments. What all secrets of a kind begin with is not counted.
 *
 * @module
 */
const WINDOW = 12

export interface Finding {
  readonly where: string
  /** The name of the secret, never its value. */
  readonly secret: string
  readonly form: 'plain' | 'hex' | 'base64'
}

/** `ghr_`, `xoxe-1-`, `ya29.sandbox-`, `pcs_`: public marks of a kind. */
const MARK =
  /^(?:pc[a-z]_|gh[a-z]_|ghu_|xoxe\.xox[bp]-1-|xoxe-1-|ya29\.sandbox-|1\/\/0sandbox-|GOCSPX-|canary-(?:new-)?password-)/

export class SecretScanner {
  readonly #secrets: ReadonlyMap<string, string>
  /** Size of a run → run → which secret it is of. Looked up once per position, so that time does not grow with the secrets. */
  readonly #runs = new Map<number, Map<string, { readonly secret: string; readonly form: Finding['form'] }>>()
  /** Which three characters a run may begin with: nearly every position is done with after one look here. */
  readonly #beginnings = new Uint8Array(1 << 24)

  constructor(secrets: ReadonlyMap<string, string>) {
    this.#secrets = secrets
    for (const [name, value] of secrets) {
      const body = value.replace(MARK, '')
      if (body.length < WINDOW) throw new Error(`${name} is too short to look for`)
      this.#add(body, name, 'plain')
      const bytes = Buffer.from(body, /[^\x20-\x7e]/.test(body) ? 'latin1' : 'utf8')
      this.#add(bytes.toString('hex'), name, 'hex', WINDOW * 2)
      // Base64 of the bytes when they begin at each place of a group of three; the edges depend on their neighbours.
      for (let skip = 0; skip < 3; skip += 1) {
        const whole = bytes.subarray(skip, skip + Math.floor((bytes.length - skip) / 3) * 3)
        this.#add(whole.toString('base64'), name, 'base64', (WINDOW / 3) * 4)
        this.#add(whole.toString('base64url'), name, 'base64', (WINDOW / 3) * 4)
      }
    }
  }

  #add(text: string, secret: string, form: Finding['form'], size = WINDOW): void {
    const runs = this.#runs.get(size) ?? new Map<string, { readonly secret: string; readonly form: Finding['form'] }>()
    this.#runs.set(size, runs)
    for (let at = 0; at + size <= text.length; at += 1) {
      runs.set(text.slice(at, at + size), { secret, form })
      this.#beginnings[beginning(text, at)] = 1
    }
  }

  /** The value itself, to plant it. */
  sample(name: string): string {
    const value = this.#secrets.get(name)
    if (value === undefined) throw new Error(`there is no secret ${name}`)
    return value
  }

  scan(where: string, content: string | Buffer): Finding[] {
    const text = Buffer.isBuffer(content) ? content.toString('latin1') : content
    const found = new Map<string, Finding>()
    const forms = text === text.toLowerCase() ? [text] : [text, text.toLowerCase()] // hexadecimal is written in both
    for (const one of forms)
      for (let at = 0; at + WINDOW <= one.length; at += 1) {
        if (this.#beginnings[beginning(one, at)] === 0) continue
        for (const [size, runs] of this.#runs) {
          const hit = runs.get(one.slice(at, at + size))
          if (hit !== undefined && (one === text || hit.form === 'hex'))
            found.set(`${hit.secret}/${hit.form}`, { where, ...hit })
        }
      }
    return [...found.values()]
  }
}

const beginning = (text: string, at: number): number =>
  ((text.charCodeAt(at) & 255) << 16) | ((text.charCodeAt(at + 1) & 255) << 8) | (text.charCodeAt(at + 2) & 255)
