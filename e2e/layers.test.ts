import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { cruise, type ICruiseResult } from 'dependency-cruiser'
import { afterEach, describe, expect, it } from 'vitest'

import configuration from '../.dependency-cruiser.mjs'

const ROOT = path.resolve(import.meta.dirname, '..')
const rules = configuration

/** The names of the rules that a tree of these files breaks. */
async function broken(files: Readonly<Record<string, string>>): Promise<string[]> {
  const root = mkdtempSync(path.join(tmpdir(), 'portcullis-layers-'))
  created.push(root)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    writeFileSync(path.join(root, name), text)
  }
  const result = await cruise(['.'], {
    ...rules.options,
    baseDir: root,
    ruleSet: { forbidden: rules.forbidden ?? [] },
    validate: true,
  })
  const { summary } = result.output as ICruiseResult // a string only when a reporter is asked for
  return [...new Set(summary.violations.map((violation) => violation.rule.name))]
}

const created: string[] = []
afterEach(() => {
  for (const root of created.splice(0)) rmSync(root, { recursive: true, force: true })
})

describe('the layers', () => {
  it('report a page whose module graph reaches the vault or the queue, however far away', async () => {
    const leaf = 'export const x = 1\n'
    expect(
      await broken({
        'app/page.ts': "import '../lib/tenancy/a'\n",
        'lib/tenancy/a.ts': "import '../vault/credential'\n",
        'lib/vault/credential.ts': leaf,
      }),
    ).toContain('web-reaches-no-vault-and-no-queue')
    expect(
      await broken({
        'app/_data/x.ts': "import '../../lib/audit/a'\n",
        'lib/audit/a.ts': "import '../queue/producer'\n",
        'lib/queue/producer.ts': leaf,
      }),
    ).toContain('web-reaches-no-vault-and-no-queue')
    expect(await broken({ 'app/page.ts': "import '../lib/tenancy/a'\n", 'lib/tenancy/a.ts': leaf })).toEqual([])
  })

  it('report an import that points up, a cycle, a foreign internal and a component that takes a service', async () => {
    const leaf = 'export const x = 1\n'
    expect(await broken({ 'lib/vault/a.ts': "import '../broker/b'\n", 'lib/broker/b.ts': leaf })).not.toEqual([])
    expect(await broken({ 'lib/db/a.ts': "import './b'\n", 'lib/db/b.ts': "import './a'\n" })).toContain('no-cycles')
    expect(await broken({ 'lib/audit/a.ts': "import '../db/internal/b'\n", 'lib/db/internal/b.ts': leaf })).toContain(
      'internal-is-internal',
    )
    expect(await broken({ 'components/a.tsx': "import '../lib/tenancy/b'\n", 'lib/tenancy/b.ts': leaf })).toContain(
      'components-take-data-not-services',
    )
  })

  it('report anybody who opens a credential besides the broker, the refresh engine and the connection flows', async () => {
    expect(
      await broken({
        'lib/mcp/a.ts': "import '../vault/credential'\n",
        'lib/vault/credential.ts': 'export const x = 1\n',
      }),
    ).toContain('credentials-open-in-one-place')
  })

  it('are disabled by no file', () => {
    const offenders = sources(ROOT).filter((file) =>
      /dependency-cruiser-disable|eslint-disable[^\n]*no-restricted-syntax|@ts-nocheck/.test(
        readFileSync(file, 'utf8'),
      ),
    )
    expect(offenders.filter((file) => !file.endsWith('layers.test.ts'))).toEqual([])
  })
})

const SKIPPED = new Set(['node_modules', '.next', '.build', '.git', '.data', 'internal'])

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return []
    const file = path.join(folder, entry.name)
    return entry.isDirectory() ? sources(file) : /\.(tsx?|mjs)$/.test(entry.name) ? [file] : []
  })
}
