/**
 * A browser without a window: keeps cookies, sends an Origin, follows nothing by itself. For what is tested below the pages.
 *
 * @module
 */
import http from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
  json(): unknown
}

export interface SendOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly form?: Readonly<Record<string, string>>
  /** False: as a page of another site would, with a foreign Origin. */
  readonly sameOrigin?: boolean
}

export interface Visitor {
  readonly send: (path: string, options?: SendOptions) => Promise<Answer>
  readonly cookie: (name: string) => string | undefined
  readonly cookies: ReadonlyMap<string, string>
}

/** Proves again who signed in, as the dialog of the pages has a person do. @returns the body for `/signin/step-up` */
export type Prove = (send: Visitor['send']) => Promise<Readonly<Record<string, unknown>>>

/** By the cookies, which a visitor shares with whatever wraps it. */
const provers = new WeakMap<ReadonlyMap<string, string>, Prove>()

export function provesBy(visitor: Visitor, prove: Prove): void {
  provers.set(visitor.cookies, prove)
}

export function createVisitor(baseUrl: string): Visitor {
  const base = new URL(baseUrl)
  const cookies = new Map<string, string>()

  return {
    cookies,
    cookie: (name) => cookies.get(name),
    async send(path, options) {
      const answer = await sendOnce(path, options)
      const prove = provers.get(cookies)
      if (prove === undefined || answer.status !== 403 || !answer.body.includes('"auth.step_up_required"'))
        return answer
      const proven = await sendOnce('/signin/step-up', { json: await prove(sendOnce) })
      if (proven.status !== 204) throw new Error(`step-up answered ${proven.status}: ${proven.body}`)
      return sendOnce(path, options)
    },
  }

  function sendOnce(
    path: string,
    { method, headers = {}, json, form, sameOrigin = true }: SendOptions = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const body =
        json !== undefined
          ? JSON.stringify(json)
          : form !== undefined
            ? new URLSearchParams(form).toString()
            : undefined
      const request = http.request({
        host: '127.0.0.1',
        port: base.port,
        path,
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        agent: false,
        headers: {
          host: base.host,
          origin: sameOrigin ? base.origin : 'https://evil.example',
          'sec-fetch-site': sameOrigin ? 'same-origin' : 'cross-site',
          ...(cookies.size === 0 ? {} : { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }),
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
          ...headers,
        },
      })
      request.on('error', reject)
      request.on('response', (response) => {
        for (const line of response.headers['set-cookie'] ?? []) remember(cookies, line)
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: text,
            json: () => JSON.parse(text) as unknown,
          })
        })
        response.on('error', reject)
      })
      request.end(body)
    })
  }
}

function remember(cookies: Map<string, string>, line: string): void {
  const [pair = ''] = line.split(';')
  const at = pair.indexOf('=')
  const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
  if (value === '' || /;\s*max-age=0/i.test(line)) cookies.delete(name)
  else cookies.set(name, value)
}

/** The second half of every sign-in: next-auth redeems the ticket that the gateway left in a cookie. */
export async function redeemTicket(visitor: Visitor): Promise<void> {
  const { csrfToken } = (await visitor.send('/api/auth/csrf')).json() as { csrfToken: string } // next-auth's own answer
  await visitor.send('/api/auth/callback/ticket', { form: { csrfToken, json: 'true' } })
  if (visitor.cookie('next-auth.session-token') === undefined) throw new Error('the ticket was not redeemed')
}

export interface Account {
  readonly email: string
  readonly password: string
  readonly name: string
}

/** Makes the first person and workspace through the printed link, and is signed in afterwards. */
export async function signUpFirst(
  visitor: Visitor,
  signUpLink: string,
  account: Account,
  workspaceName: string,
): Promise<void> {
  const secret = new URL(signUpLink).hash.slice(1)
  const answer = await visitor.send('/signin/setup', { json: { secret, workspaceName, ...account } })
  if (answer.status !== 200) throw new Error(`sign-up answered ${answer.status}: ${answer.body}`)
  await redeemTicket(visitor)
  provesBy(visitor, () => Promise.resolve({ password: account.password }))
}

export async function signIn(visitor: Visitor, account: Pick<Account, 'email' | 'password'>): Promise<void> {
  const answer = await visitor.send('/signin/password', { json: { email: account.email, password: account.password } })
  if (answer.status !== 200) throw new Error(`sign-in answered ${answer.status}: ${answer.body}`)
  await redeemTicket(visitor)
  provesBy(visitor, () => Promise.resolve({ password: account.password }))
}
