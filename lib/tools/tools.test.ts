import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

import { CATALOG } from '../providers/catalog/index'
import { slackText } from './catalog/slack/api'
import { buildMessage } from './catalog/google/mime'
import { contentOf, type PartWire } from './catalog/google/gmail-message'
import { emailArgument } from './catalog/google/api'
import { decodeCursor, encodeCursor } from './cursor'
import { InvalidArgument } from './invalid-argument'
import { apiPath, withSegments } from './path'
import { createToolRegistry, TOOLS } from './registry'
import { capText, type ProviderAnswer, type ProviderRequest, type Tool, type ToolApi } from './tool'

const toolNamed = (name: string): Tool => TOOLS.find((tool) => tool.name === name)!

/** Runs a tool against scripted answers; what it asked for comes back beside its result. */
async function run(name: string, given: unknown, ...answers: { json: unknown; status?: number; link?: string }[]) {
  const tool = toolNamed(name)
  const requests: ProviderRequest[] = []
  const api: ToolApi = {
    send: (request) => {
      requests.push(request)
      const { json, status = 200, link = null } = answers[Math.min(requests.length, answers.length) - 1]!
      return Promise.resolve({
        status,
        json,
        headers: { get: (header) => (header === 'link' ? link : null) },
      } satisfies ProviderAnswer)
    },
    page: undefined,
    cursor: (state) => `cursor:${state}`,
    callId: 'cal_test',
  }
  const result = await tool.run(tool.input.parse(given), api)
  expect(tool.output.strict().parse(result)).toEqual(result) // what is promised is what is given, and nothing else
  return { result, requests }
}

describe('paths of provider APIs', () => {
  it('keep every argument inside its own segment', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 40 }), (value) => {
        let path: string
        try {
          path = apiPath`/repos/${value}/contents`
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgument)
          return
        }
        const url = new URL(`https://api.example${path}?x=1`)
        expect([url.host, url.pathname, url.search, url.hash]).toEqual(['api.example', path, '?x=1', ''])
        expect(decodeURIComponent(url.pathname.split('/')[2]!)).toBe(value)
        expect(url.pathname.split('/')).toHaveLength(4)
      }),
      { numRuns: 500 },
    )
  })

  it.each(['', '.', '..', 'a\n', 'a\u0000b', '\ud800', '\u007f'])('refuse the segment %j', (segment) => {
    expect(() => apiPath`/x/${segment}`).toThrow(InvalidArgument)
  })

  it.each(['../secret', 'a/../../b', 'a//b', 'a/./b', '/etc/passwd', 'a/'])('refuse the file %j', (file) => {
    expect(() => withSegments(apiPath`/repos`, file)).toThrow(InvalidArgument)
  })

  it('encode what would be a separator', () => {
    expect(apiPath`/x/${'a/b?c#d%2e'}`).toBe('/x/a%2Fb%3Fc%23d%252e')
    expect(withSegments(apiPath`/x`, 'dir/a b#.md')).toBe('/x/dir/a%20b%23.md')
  })
})

describe('cursors', () => {
  const args = { owner: 'o', limit: 20, labels: undefined }

  it('come back as the state they hold, with the same arguments in any order', () => {
    for (const state of [1, 7, 'dXNlcjpVMDYxTkZUVDI='] as const) {
      const cursor = encodeCursor('t', args, state)
      expect(decodeCursor('t', { limit: 20, owner: 'o', cursor }, cursor)).toBe(state)
    }
  })

  it('mean nothing to another tool, with other arguments, or when they are made up', () => {
    const cursor = encodeCursor('t', args, 2)
    const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const { d } = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as { d: string }
    for (const [tool, given, text] of [
      ['u', args, cursor],
      ['t', { ...args, owner: 'p' }, cursor],
      ['t', args, 'x'],
      ['t', args, forged({ v: 1, d, s: -1 })],
      ['t', args, forged({ v: 1, d, s: 'https://evil.example/\r\nx: y' })],
      ['t', args, forged({ v: 1, d, s: 2, url: 'x' })],
    ] as const)
      expect(() => decodeCursor(tool, given, text)).toThrow(InvalidArgument)
  })
})

describe('the catalogue', () => {
  const registry = createToolRegistry()
  it.each(TOOLS.map((tool) => [tool.name, tool] as const))(
    '%s says what it takes, gives, needs and does',
    (name, tool) => {
      const { listing } = registry.get(name)!
      expect(name).toMatch(/^[a-z0-9_]{1,64}$/)
      expect(listing.inputSchema).toMatchObject({ type: 'object', additionalProperties: false })
      expect(listing.outputSchema).toMatchObject({ type: 'object', additionalProperties: false })
      expect(JSON.stringify(listing)).not.toMatch(/\$ref|x-mcp-header/)
      for (const hint of ['readOnlyHint', 'destructiveHint', 'idempotentHint', 'openWorldHint'] as const)
        expect(typeof listing.annotations[hint]).toBe('boolean')
      if (tool.annotations.readOnly) expect(tool.annotations).toMatchObject({ destructive: false, openWorld: false })
      const known = CATALOG.find(({ name: provider }) => provider === tool.provider)?.scopes.known ?? {}
      expect(tool.scopes.anyOf.length).toBeGreaterThan(0)
      for (const scope of tool.scopes.least) expect(Object.keys(known)).toContain(scope)
    },
  )

  it('refuses a second tool of a name, and one that takes the broker’s own argument', () => {
    const [tool] = TOOLS
    expect(() => createToolRegistry([tool!, tool!])).toThrow(TypeError)
    const taken = { ...tool!, input: tool!.input.extend({ account: z.string() }) }
    expect(() => createToolRegistry([taken])).toThrow(/account/)
  })
})

describe('a draft', () => {
  const draft = { to: ['a@example.com'], cc: [], bcc: [], subject: 'Hi', body: 'Hello' }
  const headersOf = (message: string) =>
    message
      .split('\r\n\r\n', 1)[0]!
      .split(/\r\n(?! )/)
      .map((line) => line.split(':', 1)[0])
  const names = ['To', 'Subject', 'MIME-Version', 'Content-Type', 'Content-Transfer-Encoding']

  it('has exactly its own headers, whatever the subject and the body are', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (subject, body) => {
        const message = buildMessage({ ...draft, subject, body })
        expect(headersOf(message)).toEqual(names)
        expect(message).toMatch(/^[\x20-\x7e\r\n]*$/)
        for (const line of message.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78)
        const encoded = message.slice(message.indexOf('\r\n\r\n') + 4).replaceAll('\r\n', '')
        expect(Buffer.from(encoded, 'base64').toString('utf8')).toBe(body.toWellFormed().replace(/\r\n|\r|\n/g, '\r\n'))
      }),
      { numRuns: 300 },
    )
  })

  it.each(['a\r\nBcc: evil@example.com', 'Hi\nX: y', '=?UTF-8?B?SGk=?=', 'é'.repeat(200), '\ud800'])(
    'writes the subject %j as text and nothing else',
    (subject) => {
      const message = buildMessage({ ...draft, subject })
      expect(headersOf(message)).toEqual(names)
      const line = /^Subject: (.*(?:\r\n .*)*)/m.exec(message)![1]!
      const words = line.split('\r\n ').map((word) => /^=\?UTF-8\?B\?(.*)\?=$/.exec(word)![1]!)
      expect(words.map((word) => Buffer.from(word, 'base64').toString('utf8')).join('')).toBe(subject.toWellFormed())
    },
  )

  it.each([
    'a@b.c\r\nBcc: evil@x.y',
    'a@b.c, evil@x.y',
    'A <a@b.c>',
    'a b@c.d',
    '@b.c',
    'a@',
    'a@b..c',
    'a@-b.c',
    'a\u0000@b.c',
    'ä@b.c',
  ])('takes no recipient %j', (address) => {
    expect(emailArgument.safeParse(address).success).toBe(false)
    if (!address.includes('..') && !address.startsWith('a@-'))
      expect(() => buildMessage({ ...draft, to: [address] })).toThrow(TypeError)
  })

  it('writes every address that the argument takes', () => {
    for (const address of ["o'brien+tag@sub.example.co", 'a.b-c_d=e@x1.example', '{x}|~@e.example']) {
      expect(emailArgument.safeParse(address).success).toBe(true)
      expect(buildMessage({ ...draft, to: [address] })).toContain(`To: ${address}\r\n`)
    }
  })

  it('is made from the arguments alone', async () => {
    const { result, requests } = await run(
      'gmail_create_draft',
      { to: ['a@example.com'], body: 'x', thread_id: 't1', in_reply_to: '<id@host>' },
      { json: { id: 'd', message: { id: 'm', threadId: 't1' } } },
    )
    expect(result).toEqual({ draft_id: 'd', message_id: 'm', thread_id: 't1' })
    const { message } = requests[0]!.json as { message: { raw: string; threadId: string } }
    expect(Buffer.from(message.raw, 'base64url').toString()).toContain(
      'In-Reply-To: <id@host>\r\nReferences: <id@host>',
    )
  })
})

describe('a Slack message', () => {
  it('wakes nobody and hides nothing', () => {
    expect(slackText('<!channel> a & b <!here|here> <https://evil.example|bank> <!everyone> <!subteam^S1|x>')).toBe(
      ' a &amp; b  &lt;https://evil.example|bank&gt;  ',
    )
  })

  it('has no control sequence left, whatever it was made of', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('<!channel>', '<!', '<', '>', '!here', '&', 'a', '<!he<!here>re>', '@', '|')),
        (parts) => {
          expect(slackText(parts.join(''))).not.toMatch(/[<>]|&(?!amp;|lt;|gt;)/)
        },
      ),
    )
  })

  it('asks Slack to make no mentions of names', async () => {
    const { requests } = await run(
      'slack_send_message',
      { channel_id: 'C123', text: '@channel <!channel> hi' },
      { json: { ok: true, channel: 'C123', ts: '1716239022.123456' } },
    )
    expect(requests[0]).toMatchObject({
      path: '/chat.postMessage',
      form: { channel: 'C123', text: '@channel  hi', link_names: false },
    })
  })
})

describe('a message read', () => {
  const part = (mimeType: string, text: string): PartWire => ({
    mimeType,
    body: { data: Buffer.from(text).toString('base64url') },
  })

  it('is its plain text, else its HTML without markup, scripts and styles', () => {
    const html = part(
      'text/html',
      '<style>p{}</style><script>steal()</script><p>Hello&nbsp;&amp; bye</p><!-- hidden --><b>now</b>',
    )
    expect(contentOf({ mimeType: 'multipart/alternative', parts: [part('text/plain', 'plain'), html] })).toMatchObject({
      text: 'plain',
      format: 'plain',
    })
    expect(contentOf(html)).toMatchObject({ text: 'Hello & bye\nnow', format: 'html' })
  })

  it('survives a tree without end', () => {
    let tree = part('text/plain', 'deep')
    for (let depth = 0; depth < 5_000; depth += 1) tree = { mimeType: 'multipart/mixed', parts: [tree] }
    expect(contentOf(tree)).toMatchObject({ format: 'none' })
  })

  it('lists attachments and does not take them for text', () => {
    const attachment = { ...part('text/plain', 'secret'), filename: 'a.txt' }
    expect(contentOf({ parts: [attachment] })).toMatchObject({
      text: '',
      attachments: [{ filename: 'a.txt', mime_type: 'text/plain' }],
    })
  })
})

describe('single tools', () => {
  it('leave pull requests out of a list of issues and page on by number', async () => {
    const issue = { number: 1, title: 'a', state: 'open', html_url: 'u', created_at: 'c', updated_at: 'd' }
    const { result } = await run(
      'github_list_issues',
      { owner: 'o', repo: 'r' },
      {
        json: [issue, { ...issue, number: 2, pull_request: {} }],
        link: '<https://api.github.com/x?page=2>; rel="next", <https://api.github.com/x?page=9>; rel="last"',
      },
    )
    expect(result).toMatchObject({ issues: [{ number: 1 }], next_cursor: 'cursor:2' })
  })

  it('read text, name what is not text, and list directories', async () => {
    const file = { type: 'file', path: 'a', sha: 's', size: 3, encoding: 'base64' }
    const read = async (content: Buffer | string) =>
      (
        await run(
          'github_get_file',
          { owner: 'o', repo: 'r', path: 'a' },
          { json: { ...file, content: Buffer.from(content).toString('base64') } },
        )
      ).result
    expect(await read('häß')).toMatchObject({ kind: 'file', text: 'häß', truncated: false })
    expect(await read(Buffer.from([0, 1, 2]))).toMatchObject({
      text: null,
      note: expect.stringMatching(/not UTF-8/) as string,
    })
    expect(await read('x'.repeat(70_000))).toMatchObject({ truncated: true })
    const { result } = await run(
      'github_get_file',
      { owner: 'o', repo: 'r' },
      { json: [{ type: 'file', name: 'a', path: 'a', sha: 's', size: 1 }] },
    )
    expect(result).toMatchObject({ kind: 'directory', entries: [{ name: 'a' }] })
  })

  it('create an event once for the same arguments, and again when it was deleted', async () => {
    const given = { summary: 'S', start: '2026-05-04T09:00:00Z', end: '2026-05-04T10:00:00Z' }
    const event = { id: 'x', start: {}, end: {} }
    const first = await run('calendar_create_event', given, { json: event })
    const second = await run('calendar_create_event', given, { json: {}, status: 409 }, { json: event })
    const idOf = (request: ProviderRequest | undefined) => (request?.json as { id: string }).id
    expect(idOf(first.requests[0])).toMatch(/^[a-v0-9]{32}$/)
    expect(idOf(second.requests[0])).toBe(idOf(first.requests[0]))
    expect(second.result).toMatchObject({ already_existed: true })
    const third = await run(
      'calendar_create_event',
      given,
      { json: {}, status: 409 },
      { json: { ...event, status: 'cancelled' } },
      { json: event },
    )
    expect(third.requests).toHaveLength(3)
    expect(idOf(third.requests[2])).not.toBe(idOf(first.requests[0]))
    expect(third.result).toMatchObject({ already_existed: false })
  })

  it.each([
    [{ start: '2026-05-04', end: '2026-05-04T10:00:00Z' }],
    [{ start: '2026-05-04T10:00:00Z', end: '2026-05-04T10:00:00Z' }],
  ])('refuse the times %j', async (times) => {
    await expect(run('calendar_create_event', { summary: 'S', ...times }, { json: {} })).rejects.toThrow(
      InvalidArgument,
    )
  })

  it('find people by part of any name, and one by address', async () => {
    const member = (id: string, real_name: string, deleted = false) => ({
      id,
      name: id,
      deleted,
      profile: { real_name },
    })
    const list = {
      members: [member('U1', 'Ada Lovelace'), member('U2', 'Alan Turing'), member('U3', 'Adam', true)],
      response_metadata: { next_cursor: '' },
    }
    const { result } = await run('slack_search_users', { query: 'ADA' }, { json: list })
    expect(result).toMatchObject({ users: [{ id: 'U1' }], next_cursor: null })
    expect((await run('slack_search_users', { email: 'a@b.example' }, { json: {}, status: 404 })).result).toMatchObject(
      { users: [] },
    )
    await expect(run('slack_search_users', {}, { json: list })).rejects.toThrow(InvalidArgument)
    await expect(run('slack_search_users', { query: 'a', email: 'a@b.example' }, { json: list })).rejects.toThrow(
      InvalidArgument,
    )
  })

  it('look through a bounded number of pages', async () => {
    const { result, requests } = await run(
      'slack_search_users',
      { query: 'nobody' },
      { json: { members: [], response_metadata: { next_cursor: 'next' } } },
    )
    expect(requests).toHaveLength(5)
    expect(result['next_cursor']).toBe('cursor:next')
  })
})

describe('text', () => {
  it('is cut between characters', () => {
    expect(capText('ab😀', 3)).toEqual({ text: 'ab', truncated: true })
    expect(capText('a\ud800b')).toEqual({ text: 'a\ufffdb', truncated: false })
  })
})
