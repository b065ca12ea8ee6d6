/** That a change anywhere in the sources leads to a build, and nothing else does. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

import { expect, it } from 'vitest'

import * as original from './build.mjs'

const root = path.resolve(import.meta.dirname, '..')

it('every folder of the repository is known to be built, or known not to be', () => {
  const notBuilt = ['bench', 'docs', 'e2e', 'launcher', 'node_modules', 'playwright-report', 'test-results']
  const folders = readdirSync(root, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && !entry.name.startsWith('.'),
  )
  const unknown = folders
    .map(({ name }) => name)
    .filter((name) => ![...original.WEB_SOURCES, ...original.BUNDLE_SOURCES, ...notBuilt].includes(name))
  expect(unknown).toEqual([])
})

it('the digest changes with contents, names and settings of the build, and not with tests, notes or times', async () => {
  const project = mkdtempSync(path.join(tmpdir(), 'portcullis-test-'))
  try {
    cpSync(import.meta.dirname, path.join(project, 'launcher'), { recursive: true })
    // The module computes its own root; a copy of it answers for the copy. Its type is that of the original.
    const module: unknown = await import(
      /* @vite-ignore */ pathToFileURL(path.join(project, 'launcher/build.mjs')).href
    )
    const { digestSources } = module as typeof original // the same file
    const write = (file: string, text: string) => {
      mkdirSync(path.dirname(path.join(project, file)), { recursive: true })
      writeFileSync(path.join(project, file), text)
    }
    write('lib/a.ts', 'one')
    const before = digestSources(['lib'])
    write('lib/a.ts', 'one')
    write('lib/a.test.ts', 'a test')
    write('lib/testing/b.ts', 'of tests')
    write('lib/notes.md', 'notes')
    write('app/page.tsx', 'not asked for')
    write('README.md', 'text')
    expect(digestSources(['lib', 'absent'])).toBe(before)

    const seen = new Set([before])
    for (const [file, text] of [
      ['lib/a.ts', 'two'],
      ['lib/deep/c.ts', ''],
      ['package-lock.json', '{}'],
      ['next.config.ts', ''],
      ['proxy.ts', ''],
    ] as const) {
      write(file, text)
      const now = digestSources(['lib'])
      expect(seen.has(now), file).toBe(false)
      seen.add(now)
    }
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
})
