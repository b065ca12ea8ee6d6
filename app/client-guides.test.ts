import { existsSync, readFileSync } from 'node:fs'

import { format, resolveConfig } from 'prettier'
import { describe, expect, test } from 'vitest'

import { isPublic, serverName, sessionKeyVariable, type Snippet } from '@/components/clients/guide'
import { clientGuides } from '@/components/clients/guides'
import { guidesAsMarkdown } from '@/components/clients/markdown'

const url = 'https://gate.example/mcp/agt_1'
const guides = clientGuides({ mcpUrl: url, serverName: serverName('Claude') })
const ways = guides.flatMap((guide) => guide.ways.map((way) => ({ id: `${guide.id}, ${way.kind}`, way })))
const snippets = ways.flatMap(({ id, way }) =>
  way.steps.flatMap(({ snippet }) => (snippet === undefined ? [] : [{ id, way, snippet }])),
)

/** Programs of others that cannot be run here. */
const HOSTED = [
  'chatgpt',
  'claude-ai',
  'claude-desktop',
  'claude-code',
  'cursor',
  'vs-code',
  'windsurf',
  'codex',
  'gemini-cli',
]

describe('the guides', () => {
  test('cover the clients people ask for, and each has an address to give', () => {
    expect(guides.map(({ id }) => id)).toEqual([...HOSTED, 'mcp-remote', 'typescript-sdk', 'bearer'])
    for (const { id, way } of ways)
      expect(
        way.steps.some(({ snippet }) => snippet?.code.includes(url)),
        id,
      ).toBe(true)
  })

  test('sign in first: the key is the second way wherever there are two', () => {
    for (const { id, ways: own } of guides)
      expect(
        own.map(({ kind }) => kind),
        id,
      ).toEqual([...own.map(({ kind }) => kind)].sort((a) => (a === 'sign_in' ? -1 : 1)))
    expect(guides.filter((guide) => guide.ways[0]?.kind === 'sign_in').map(({ id }) => id)).toHaveLength(10)
  })

  test('never put a credential into a URL or a file, and name the key only by its variable, a prompt or a placeholder', () => {
    for (const { id, way, snippet } of snippets) {
      expect(snippet.code, id).not.toContain(`${url}?`)
      expect(snippet.code, id).not.toMatch(/pc[skow]_|po[arz]_/)
      if (way.kind === 'sign_in') expect(snippet.code, id).not.toMatch(/Bearer|Authorization|key/i)
    }
    for (const { id, way } of ways.filter((one) => one.way.kind === 'session_key')) {
      const code = way.steps.map(({ snippet }) => snippet?.code ?? '').join('\n')
      expect(
        [sessionKeyVariable, '<your session key>', '${input:portcullis-session-key}'].some((name) =>
          code.includes(name),
        ),
        id,
      ).toBe(true)
    }
  })

  test.each(
    snippets.filter(({ snippet }) => snippet.language === 'json').map(({ id, snippet }) => [id, snippet] as const),
  )('a configuration file is JSON with one server of our name: %s', (_, snippet: Snippet) => {
    const file = JSON.parse(snippet.code) as Record<string, Record<string, unknown>> // what the guide says is a file
    expect(Object.keys(file['mcpServers'] ?? file['servers'] ?? {})).toEqual(['portcullis-claude'])
  })

  test.each(['"; rm -rf ~ #', '$(id)', '`id`', 'Ann’s agent', '  ', '…', "it's", 'a'.repeat(200)])(
    'an agent named %j breaks out of no shell command and no file',
    (name) => {
      expect(serverName(name)).toMatch(/^portcullis(-[a-z0-9]+)*$/)
      expect(serverName(name).length).toBeLessThanOrEqual(43)
    },
  )

  test.each([
    ['https://gate.example/mcp/agt_1', true],
    ['http://gate.example/mcp/agt_1', false],
    ['http://localhost:3000/mcp/agt_1', false],
    ['https://gate.internal/mcp/agt_1', false],
    ['https://10.0.0.7/mcp/agt_1', false],
    ['https://172.20.0.7/mcp/agt_1', false],
    ['https://172.40.0.7/mcp/agt_1', true],
    ['https://[::1]/mcp/agt_1', false],
  ])('a vendor’s servers can reach %s: %s', (address, expected) => {
    expect(isPublic(address)).toBe(expected)
  })
})

describe('what is said to have been run', () => {
  const run = ways.flatMap(({ id, way: { proof } }) => (proof.kind === 'run' ? [{ id, ...proof }] : []))

  test('was run: in that version, by a test that drives it', () => {
    expect(run.length).toBeGreaterThan(0)
    for (const { id, packages, test: file } of run) {
      const source = readFileSync(file, 'utf8') + supportOf(file)
      for (const one of packages) {
        const [, name = '', version] = /^(.+)@([^@]+)$/.exec(one) ?? []
        const installed = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')) as { version: string } // npm's own shape
        expect(installed.version, `${id}: ${name}`).toBe(version)
        expect(source, `${id}: ${file} does not drive ${name}`).toContain(`'${name}`)
      }
    }
  })

  test('everything else says on whose pages it is based, at the vendor’s own address', () => {
    for (const { id, way } of ways)
      if (way.proof.kind === 'documented') expect(new URL(way.proof.url).protocol, id).toBe('https:')
    for (const guide of guides.filter(({ id }) => HOSTED.includes(id)))
      for (const { proof } of guide.ways) expect(proof.kind, guide.id).toBe('documented')
  })
})

/** Modules of e2e/support that a test of the browser imports. */
function supportOf(file: string): string {
  const names = [...readFileSync(file, 'utf8').matchAll(/from '\.\/(support\/[\w/-]+)'/g)].map(
    ([, name]) => `e2e/${name}.ts`,
  )
  return names
    .filter((name) => existsSync(name))
    .map((name) => readFileSync(name, 'utf8'))
    .join('\n')
}

test('docs/clients.md says what the dashboard says; -u writes it', async () => {
  const target = { mcpUrl: 'https://portcullis.example.com/mcp/agt_…', serverName: 'portcullis' }
  const text = await format(guidesAsMarkdown(clientGuides(target)), {
    ...(await resolveConfig('docs/clients.md')),
    parser: 'markdown',
  })
  await expect(text).toMatchFileSnapshot('../docs/clients.md')
})
