import { describe, expect, it } from 'vitest'

import { createProgress } from './audit-chain'

describe('how far a verification is', () => {
  const written: string[] = []
  const write = (text: string) => written.push(text)

  it('is told to a person at a terminal, now and then, and leaves nothing behind', () => {
    let time = 0
    const progress = createProgress({ isTTY: true, write }, () => time)
    for (let done = 0; done <= 100; done += 10) {
      progress.show('ten_a', { done, total: 200 })
      time += 50
    }
    progress.clear()
    progress.clear()
    expect(written).toEqual([0, 20, 40].map((percent) => `\r\x1b[2Kten_a: ${percent} %`).concat('\r\x1b[2K'))
  })

  it('is not told to a program', () => {
    written.length = 0
    const progress = createProgress({ write })
    progress.show('ten_a', { done: 1, total: 2 })
    progress.clear()
    expect(written).toEqual([])
  })
})
