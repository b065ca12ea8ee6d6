/**
 * Bounds on what an agent may send as arguments, checked before any schema walks them.
 *
 * @module
 */
const MAX_DEPTH = 16
const MAX_NODES = 10_000

export type Arguments = Readonly<Record<string, unknown>>

/**
 * @returns what is wrong, undefined when nothing is. `__proto__` is refused at any depth: a copy of the object somewhere
 *   behind us could set a prototype with it.
 */
export function checkArguments(value: unknown): string | undefined {
  let nodes = 0
  const visit = (node: unknown, depth: number): string | undefined => {
    nodes += 1
    if (nodes > MAX_NODES) return 'the arguments have too many values'
    if (typeof node === 'string') return node.isWellFormed() ? undefined : 'the arguments hold text that is not Unicode'
    if (typeof node !== 'object' || node === null) return undefined
    if (depth >= MAX_DEPTH) return 'the arguments are nested too deeply'
    if (!Array.isArray(node) && Object.hasOwn(node, '__proto__')) return 'the arguments use a reserved name'
    for (const child of Object.values(node)) {
      const problem = visit(child, depth + 1)
      if (problem !== undefined) return problem
    }
    return undefined
  }
  return visit(value, 0)
}
