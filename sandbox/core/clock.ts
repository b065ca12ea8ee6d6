/**
 * A clock that runs with the machine's and can be moved by hand, so that eight hours or six months pass at once.
 *
 * @module
 */
import type { Clock } from '@/lib/clock'
import { systemClock } from '@/lib/clock'

export class VirtualClock implements Clock {
  readonly #base: Clock
  #offsetMs = 0

  constructor(base: Clock = systemClock) {
    this.#base = base
  }

  now(): Date {
    return new Date(this.nowMs())
  }

  nowMs(): number {
    return this.#base.now().getTime() + this.#offsetMs
  }

  advance(milliseconds: number): void {
    this.#offsetMs += milliseconds
  }
}
