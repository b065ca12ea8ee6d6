/**
 * Paths of provider APIs, built from arguments that an agent chose. Each argument becomes one encoded segment: it can
 * name another resource, never another endpoint, host or query.
 *
 * @module
 */
import { InvalidArgument } from './invalid-argument'

declare const isApiPath: unique symbol
/** An absolute path whose variable parts went through `apiPath`. */
export type ApiPath = string & { readonly [isApiPath]: true }

/** @example apiPath`/repos/${owner}/${repo}/issues` */
export function apiPath(fixed: TemplateStringsArray, ...segments: readonly (string | number)[]): ApiPath {
  let path = fixed[0] ?? ''
  segments.forEach((segment, index) => {
    path += encodeSegment(String(segment)) + (fixed[index + 1] ?? '')
  })
  return path as ApiPath // every variable part was encoded above
}

/** A path that has no variable parts, followed by the segments of `relative`: for files in a repository. */
export function withSegments(path: ApiPath, relative: string): ApiPath {
  return `${path}/${relative.split('/').map(encodeSegment).join('/')}` as ApiPath // each part was encoded
}

// Dot segments are resolved by URL parsers, encoded or not (WHATWG URL §4.4), so they must not get that far.
const DOTS = /^\.{1,2}$/
const CONTROL = /[\u0000-\u001f\u007f]/

function encodeSegment(segment: string): string {
  if (segment === '' || DOTS.test(segment) || CONTROL.test(segment) || !segment.isWellFormed())
    throw new InvalidArgument('a name in the path is empty, a dot segment or has control characters')
  return encodeURIComponent(segment)
}
