/**
 * A value that prints as `[redacted]` wherever an object is printed: log, JSON, inspect, template string.
 *
 * @module
 */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

export class Secret<T = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The value itself. Every call is a place where the secret may leak, so there should be few. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [INSPECT](): string {
    return '[redacted]'
  }
}
