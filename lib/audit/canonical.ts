/**
 * One text for one JSON value: members in order of their names' UTF-16 code units, no white space, numbers and strings as
 * ECMAScript writes them. Two calls with the same arguments then have the same digest, whatever the order on the wire.
 *
 * One deviation: a lone surrogate is written as its escape rather than refused, because a call must be recordable
 * whatever it carries. The text stays unambiguous.
 *
 * @see RFC 8785 §3.2
 * @module
 */
const MAX_DEPTH = 200

/**
 * @param value  a JSON value; a member that is `undefined` is left out, as JSON.stringify does
 * @throws TypeError for anything JSON has no form for (NaN, bigint, a function, an object with a prototype of its own) or nested deeper than 200
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0)
}

function write(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw new TypeError('nested too deeply')
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('a number that JSON cannot hold')
      return JSON.stringify(value)
    case 'object': {
      if (value === null) return 'null'
      if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(',')}]`
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype !== null) throw new TypeError('not a plain object')
      const members = Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1)) // `<` on strings compares UTF-16 code units
        .map(([name, member]) => `${JSON.stringify(name)}:${write(member, depth + 1)}`)
      return `{${members.join(',')}}`
    }
    case 'bigint':
    case 'function':
    case 'symbol':
    case 'undefined':
    default:
      throw new TypeError(`JSON has no ${typeof value}`)
  }
}
