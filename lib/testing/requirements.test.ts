import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { describe, expect, it } from 'vitest'

import { REQUIREMENTS } from './requirements'

const FOLDERS = ['lib/oauth-server', 'lib/mcp', 'lib/policy', 'gateway', 'e2e']
const TITLE = /(?:\bit|\btest|\))\(\s*(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1\s*,/g
const CITED = /\[([A-Z]{2}[0-9]+(?:, [A-Z]{2}[0-9]+)*)\]$/

function testFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(?:test|e2e)\.tsx?$/.test(name))
    .map((name) => path.join(folder, name))
}

/** Requirement → titles of the tests that name it. */
function citations(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const file of FOLDERS.flatMap(testFiles)) {
    const text = readFileSync(file, 'utf8')
    for (const [, , title = ''] of text.matchAll(TITLE))
      for (const id of CITED.exec(title)?.[1]?.split(', ') ?? []) found.set(id, [...(found.get(id) ?? []), title])
  }
  return found
}

describe('the requirements', () => {
  const cited = citations()

  it('are each proven by a test that names them', () => {
    expect(Object.keys(REQUIREMENTS).filter((id) => !cited.has(id))).toEqual([])
  })

  it('are all that a test names', () => {
    expect([...cited.keys()].filter((id) => !Object.hasOwn(REQUIREMENTS, id))).toEqual([])
  })

  it('are not claimed by tests that do not run', () => {
    for (const file of FOLDERS.flatMap(testFiles))
      if (/\[[A-Z]{2}[0-9]+/.test(readFileSync(file, 'utf8')))
        expect(readFileSync(file, 'utf8'), file).not.toMatch(
          /\b(?:it|describe|test)\.(?:skip|todo|only|fails)\b|\bxit\(/,
        )
  })
})
