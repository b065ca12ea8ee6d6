/**
 * A rule in the form that decisions use: its expressions compiled, its values canonical, itself a question with a yes or no.
 *
 * @see RE2: expressions are matched in time linear in the input, so no author of a rule and no caller can stall a gateway
 * @module
 */
import { RE2JS } from 're2js'

import { canonical, domainOf, folded, foldedPattern, type Resource, type ResourceReaders } from './resources'
import { conditionsOf, MAX_EXPRESSION_INPUT, type Rule } from './rules'

/** What a call says: validated arguments, and how its tool reads resources out of them. */
export interface CallFacts {
  readonly args: Readonly<Record<string, unknown>>
  readonly resources: ResourceReaders<Readonly<Record<string, unknown>>>
}

export interface CompiledRule {
  readonly id: string
  /** Why it refused, for the agent. */
  readonly words: string
  holds(call: CallFacts): boolean
}

type Test = (value: string) => boolean

/** @throws Error when an expression is none */
export function compileRule(rule: Rule): CompiledRule {
  const conditions = conditionsOf(rule)
  const isNegated = rule.not === true
  const tests = testsOf(rule)
  const isPattern = rule.matches !== undefined || rule.glob !== undefined
  const { resource, argument } = rule

  const valueOf = ({ args, resources }: CallFacts): unknown =>
    resource === undefined ? (argument === undefined ? undefined : own(args, argument)) : resources[resource]?.(args)

  const holds = (call: CallFacts): boolean => {
    const value = valueOf(call)
    if (rule.maxItems !== undefined) {
      // A list that was left out has no elements, which is the one thing a caller may say by silence.
      const items = value === undefined ? 0 : Array.isArray(value) ? value.length : undefined
      return items !== undefined && items <= rule.maxItems !== isNegated
    }
    const elements = Array.isArray(value) ? (value as readonly unknown[]) : [value]
    // An argument without elements says as little as none; a call that is about no such thing breaks no rule on it.
    if (elements.length === 0) return resource !== undefined
    return elements.every((element) => {
      if (typeof element === 'number') return numberHolds(rule, element)
      if (typeof element === 'boolean')
        return typeof rule.equals === 'boolean' && (element === rule.equals) !== isNegated
      if (typeof element !== 'string' || tests === undefined) return false
      const exact = resource === undefined ? element : canonical(resource, element)
      if (exact === undefined) return false
      if (isPattern && exact.length > MAX_EXPRESSION_INPUT) return false
      return isNegated ? !tests.exact(exact) && !tests.folded(folded(exact, resource)) : tests.exact(exact)
    })
  }
  return { id: rule.id, words: rule.description ?? wordsOf(rule, conditions), holds }
}

/** Own members only: a rule on `constructor` is a rule on an argument of that name. */
const own = (args: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.hasOwn(args, name) ? args[name] : undefined

function numberHolds(rule: Rule, value: number): boolean {
  const isNegated = rule.not === true
  if (typeof rule.equals === 'number') return (value === rule.equals) !== isNegated
  if (rule.min === undefined && rule.max === undefined) return false
  const isWithin = value >= (rule.min ?? -Infinity) && value <= (rule.max ?? Infinity)
  return isWithin !== isNegated
}

/** How a text is judged, as it is and in the form that forbids look-alikes; undefined for a rule that is not about text. */
function testsOf(rule: Rule): { readonly exact: Test; readonly folded: Test } | undefined {
  const { resource } = rule
  const plain = (value: string) => (resource === undefined ? value : canonical(resource, value))
  const among = (values: readonly string[], made: (value: string) => string | undefined): Test => {
    const set = new Set(values.map(made))
    return (value) => set.has(value)
  }
  const fold = (value: string) => folded(value, resource)
  const both = (values: readonly string[], test: (values: readonly string[]) => Test) => ({
    exact: test(values.map((value) => plain(value) ?? value)),
    folded: test(values.map(fold)),
  })
  if (typeof rule.equals === 'string') return { exact: among([rule.equals], plain), folded: among([rule.equals], fold) }
  if (rule.oneOf !== undefined) return { exact: among(rule.oneOf, plain), folded: among(rule.oneOf, fold) }
  if (rule.prefix !== undefined)
    // Not through the canonical form: half of a name is no name.
    return {
      exact: startsWith(
        resource === undefined || resource === 'ref' || resource === 'path'
          ? rule.prefix
          : caseOf(resource, rule.prefix),
      ),
      folded: startsWith(folded(rule.prefix)),
    }
  if (rule.emailDomain !== undefined) {
    const domains = new Set(rule.emailDomain.map((domain) => domainOf(`x@${domain}`)))
    const test: Test = (value) => domains.has(domainOf(value))
    return { exact: test, folded: test }
  }
  if (rule.inside !== undefined)
    return both(rule.inside, (folders) => {
      const trimmed = folders.map((folder) => canonical('path', folder))
      return (value) => {
        const path = canonical('path', value)
        return path !== undefined && trimmed.some((folder) => folder !== undefined && isInside(path, folder))
      }
    })
  if (rule.glob !== undefined) {
    const patterns = rule.glob.map((glob) => (resource === undefined ? glob : caseOf(resource, glob)))
    return {
      exact: anyOf(patterns.map(globTest)),
      folded: anyOf(rule.glob.map((glob) => globTest(foldedPattern(glob)))),
    }
  }
  if (rule.matches !== undefined) {
    const pattern = RE2JS.compile(rule.matches, RE2JS.DOTALL)
    const caseless = RE2JS.compile(rule.matches, RE2JS.DOTALL | RE2JS.CASE_INSENSITIVE)
    return { exact: (value) => pattern.testExact(value), folded: (value) => caseless.testExact(value) }
  }
  return undefined
}

const startsWith =
  (prefix: string): Test =>
  (value) =>
    value.startsWith(prefix)
const anyOf =
  (tests: readonly Test[]): Test =>
  (value) =>
    tests.some((test) => test(value))
const isInside = (path: string, folder: string) => folder === '' || path === folder || path.startsWith(`${folder}/`)

/** Patterns are in the case in which the provider keeps what they are compared with. */
function caseOf(resource: Resource, pattern: string): string {
  if (resource === 'path' || resource === 'ref') return pattern
  return resource === 'channel' ? pattern.toUpperCase() : pattern.toLowerCase()
}

function globTest(glob: string): Test {
  const source = glob.replace(/\*\*|\*|\?|[^*?]+/g, (part) => {
    if (part === '**') return '.*'
    if (part === '*') return '[^/]*'
    return part === '?' ? '[^/]' : RE2JS.quote(part)
  })
  const pattern = RE2JS.compile(source, RE2JS.DOTALL)
  return (value) => pattern.testExact(value)
}

function wordsOf(rule: Rule, conditions: readonly string[]): string {
  const subject = rule.resource ?? rule.argument ?? 'the call'
  // What is forbidden is not listed: an agent that was talked into something learns nothing from the refusal.
  if (rule.not === true) return `this ${subject} is not allowed`
  const what = conditions.map((name) => {
    const value = rule[name as keyof Rule]
    const shown = Array.isArray(value) ? value.slice(0, 5).join(', ') + (value.length > 5 ? ', …' : '') : String(value)
    return `${WORDS[name] ?? name} ${shown}`
  })
  return `${subject} ${what.join(' and ')}`
}
const WORDS: Readonly<Record<string, string>> = {
  equals: 'must be',
  oneOf: 'must be one of',
  prefix: 'must begin with',
  glob: 'must be like',
  matches: 'must match',
  min: 'must be at least',
  max: 'must be at most',
  maxItems: 'must have no more elements than',
  emailDomain: 'must be at',
  inside: 'must be in',
}
