/**
 * What there is to call, read from the sources and not from a list that somebody keeps: a route that is added is found.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '../../..')

function filesBelow(folder: string, wanted: (name: string) => boolean): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => wanted(path.basename(name)))
    .map((name) => path.join(folder, name))
    .sort()
}

const sourceOf = (file: string) => readFileSync(path.join(ROOT, file), 'utf8')

export interface AppRoute {
  readonly file: string
  /** `/agents/[agentId]` */
  readonly route: string
  /** Names of the dynamic segments. */
  readonly params: readonly string[]
}

function appRoutes(fileName: RegExp): AppRoute[] {
  return filesBelow('app', (name) => fileName.test(name)).map((file) => {
    const segments = path
      .dirname(path.relative('app', file))
      .split(path.sep)
      .filter((segment) => segment !== '.' && !/^\(.*\)$/.test(segment) && !segment.startsWith('@'))
    const params = segments.flatMap((segment) => /^\[+(?:\.\.\.)?(\w+)\]+$/.exec(segment)?.[1] ?? [])
    return { file, route: `/${segments.join('/')}`, params }
  })
}

export const pages = (): AppRoute[] => appRoutes(/^page\.(tsx?|jsx?|mdx)$/)
export const routeHandlers = (): AppRoute[] => appRoutes(/^route\.(tsx?|jsx?)$/)

/** Files with a server action: a way to write through web, which has no way to write. */
export const serverActions = (): string[] =>
  [...filesBelow('app', isSource), ...filesBelow('components', isSource)].filter((file) =>
    /^\s*(['"])use server\1/m.test(sourceOf(file)),
  )

/** Names of query parameters that pages read or that links of ours carry. */
export function pageQueryNames(): string[] {
  const names = new Set<string>()
  for (const folder of ['app', 'components', 'lib', 'gateway'])
    for (const file of filesBelow(folder, isSource)) {
      const source = sourceOf(file)
      for (const [, name = ''] of source.matchAll(/[?&]([a-z][A-Za-z]+)=/g)) names.add(name)
      for (const [, name = ''] of source.matchAll(/searchParams\.(?:set|get|has|getAll)\('([A-Za-z]+)'/g))
        names.add(name)
      for (const [, list = ''] of source.matchAll(/const \{([^}]*)\} = await searchParams/g))
        for (const [name] of list.matchAll(/[A-Za-z]+/g)) names.add(name)
    }
  return [...names].sort()
}

/** `operationId`s of the REST API as its sources state them. */
export function operationIdsOnDisk(): string[] {
  const ids = filesBelow('gateway/api/v1', isSource).flatMap((file) => {
    const source = sourceOf(file)
    const found = [...source.matchAll(/^\s*id: '([a-z_]+\.[a-z_]+)',$/gm)].map(([, id = '']) => id)
    const defined = [...source.matchAll(/\bdefineRoute\(/g)].length
    if (found.length !== defined) throw new Error(`${file}: ${defined} routes but ${found.length} readable ids`)
    return found
  })
  return ids.sort()
}

/** Paths and prefixes that the gateway answers itself, as string literals of its sources; addresses of pages are not among them. */
export function gatewayPaths(): string[] {
  const pageRoutes = new Set(pages().map(({ route }) => route))
  const files = [...filesBelow('gateway', isSource).filter((file) => !file.includes(`${path.sep}v1${path.sep}`))]
  const paths = new Set<string>()
  for (const file of files) {
    const source = sourceOf(file).replace(/^\s*(\*|\/\/).*$/gm, '')
    const found = [...source.matchAll(/'(\/[A-Za-z.][^'?#]*)'/g)].map(([, literal = '']) => literal)
    if (/\bprefixes: \[/.test(source) && !found.some((literal) => literal.endsWith('/')))
      throw new Error(`${file} answers for prefixes that are not written there`)
    for (const literal of found) if (!pageRoutes.has(literal)) paths.add(literal)
  }
  return [...paths].sort()
}

function isSource(name: string): boolean {
  return /\.tsx?$/.test(name) && !/\.test\.tsx?$/.test(name)
}
