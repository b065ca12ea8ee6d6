import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'

import { describe, expect, test } from 'vitest'

const root = path.resolve(import.meta.dirname, '..')
const css = await readFile(path.join(root, 'app/globals.css'), 'utf8')

type Theme = 'light' | 'dark'

/** Opaque colour tokens by theme. */
const tokens = new Map<string, Record<Theme, string>>()
for (const [, name, light, dark] of css.matchAll(
  /--color-([a-z-]+):\s*light-dark\(\s*(#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\s*\)/g,
)) {
  if (name !== undefined && light !== undefined && dark !== undefined) tokens.set(name, { light, dark })
}

/** WCAG 2.2 “relative luminance”. */
function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(one: string, other: string, theme: Theme): number {
  const pair = [one, other].map((name) => {
    const token = tokens.get(name)
    if (token === undefined) throw new Error(`no token named ${name}`)
    return luminance(token[theme])
  })
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)
}

const surfaces = ['canvas', 'surface', 'raised', 'sunken', 'hover']
const text: readonly (readonly [string, string])[] = [
  ...surfaces.flatMap((surface) => [
    ['ink', surface] as const,
    ['muted', surface] as const,
    ['accent-ink', surface] as const,
  ]),
  ['placeholder', 'surface'],
  ['placeholder', 'sunken'],
  ['danger-ink', 'surface'],
  ['danger-ink', 'raised'],
  ['warning-ink', 'surface'],
  ['canvas', 'ink'],
  ['on-accent', 'accent'],
  ['on-accent', 'accent-hover'],
  ['on-danger', 'danger'],
  ['on-danger', 'danger-hover'],
  ['muted', 'accent-soft'],
  ...['accent', 'success', 'warning', 'danger', 'info'].flatMap((tone) => [
    [`${tone}-ink`, `${tone}-soft`] as const,
    ['ink', `${tone}-soft`] as const,
  ]),
]
const shapes: readonly (readonly [string, string])[] = [
  ...surfaces.flatMap((surface) => [['line-strong', surface] as const, ['focus', surface] as const]),
  ['accent', 'surface'],
  ['danger', 'surface'],
  ['success', 'surface'],
  ['warning', 'surface'],
  ['chart-permit', 'surface'],
  ['chart-deny', 'surface'],
  ['chart-approval', 'surface'],
]

describe.each(['light', 'dark'] as const)('in the %s theme', (theme) => {
  test.each(text)('%s on %s is readable text (WCAG 1.4.3, 4.5:1)', (ink, ground) => {
    expect(contrast(ink, ground, theme)).toBeGreaterThanOrEqual(4.5)
  })
  test.each(shapes)('%s on %s is a visible shape (WCAG 1.4.11, 3:1)', (shape, ground) => {
    expect(contrast(shape, ground, theme)).toBeGreaterThanOrEqual(3)
  })
})

test('markup names tokens and no colour of its own', async () => {
  const offenders: string[] = []
  for (const folder of ['app', 'components']) {
    for (const entry of await readdir(path.join(root, folder), { recursive: true })) {
      if (!entry.endsWith('.tsx') || entry === 'layout.tsx') continue
      const source = await readFile(path.join(root, folder, entry), 'utf8')
      if (/\[#|#[0-9a-fA-F]{6}\b|\b(?:rgb|hsl|oklch)a?\(/.test(source)) offenders.push(`${folder}/${entry}`)
    }
  }
  expect(offenders).toEqual([])
})

test('the browser frame has the colour of the page', async () => {
  const layout = await readFile(path.join(root, 'app/layout.tsx'), 'utf8')
  const canvas = tokens.get('canvas')
  expect(layout).toContain(`'${canvas?.light ?? 'missing'}'`)
  expect(layout).toContain(`'${canvas?.dark ?? 'missing'}'`)
})

test('the default palette is gone, so that only tokens compile', () => {
  expect(css).toMatch(/--color-\*:\s*initial/)
})
