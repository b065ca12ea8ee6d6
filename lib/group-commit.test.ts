import { describe, expect, it } from 'vitest'

import { createGroupCommit, type Entry, type GroupCommitOptions } from './group-commit'

type Options = GroupCommitOptions<number, number>

function group(write: Options['write'], fields: Partial<Options> = {}) {
  return createGroupCommit<number, number>({
    maxRows: 4,
    maxInFlight: 2,
    maxWaiting: 10,
    lingerMs: 1,
    deadlineMs: 2_000,
    write,
    refusal: (why) => new Error(why),
    ...fields,
  })
}

const answerAll = (entries: readonly Entry<number, number>[]) => {
  for (const entry of entries) entry.settle(entry.item * 2)
}

/** A write that waits until it is let go. */
function gatedWrite() {
  const batches: { entries: readonly Entry<number, number>[]; release: () => void }[] = []
  return {
    batches,
    write: (entries: readonly Entry<number, number>[]) =>
      new Promise<void>((resolve) => {
        batches.push({
          entries,
          release: () => {
            answerAll(entries)
            resolve()
          },
        })
      }),
  }
}

describe('group commit', () => {
  it('writes what arrives together once, and answers each its own', async () => {
    const sizes: number[] = []
    const commit = group(
      (entries) => {
        sizes.push(entries.length)
        answerAll(entries)
        return Promise.resolve()
      },
      { maxRows: 100 },
    )
    expect(await Promise.all([1, 2, 3].map((n) => commit.submit(n)))).toEqual([2, 4, 6])
    expect(sizes).toEqual([3])
  })

  it('keeps rows of a batch, batches under way and rows waiting within their bounds', async () => {
    const gate = gatedWrite()
    const commit = group(gate.write)
    const first = Array.from({ length: 10 }, (_, n) => commit.submit(n))
    await expect.poll(() => gate.batches.length, { interval: 1 }).toBe(2)
    const later = Array.from({ length: 8 }, (_, n) => commit.submit(n)) // two of the first ten still wait
    await expect(commit.submit(99)).rejects.toThrow('too_many')
    expect(gate.batches.map((batch) => batch.entries.length)).toEqual([4, 4])
    for (let i = 0; i < 5; i += 1) {
      await expect.poll(() => gate.batches.length, { interval: 1 }).toBeGreaterThan(i)
      gate.batches[i]?.release()
    }
    await Promise.all([...first, ...later])
    expect(Math.max(...gate.batches.map((batch) => batch.entries.length))).toBeLessThanOrEqual(4)
  })

  it('refuses within the deadline although the write never ends', async () => {
    const commit = group(() => new Promise<void>(() => undefined), { deadlineMs: 30 })
    await expect(commit.submit(1)).rejects.toThrow('too_late')
  })

  it('refuses those behind a write that never ends as well', async () => {
    const commit = group(() => new Promise<void>(() => undefined), { deadlineMs: 30, maxInFlight: 1, maxRows: 1 })
    const answers = await Promise.allSettled([1, 2, 3].map((n) => commit.submit(n)))
    expect(answers.map((answer) => answer.status)).toEqual(['rejected', 'rejected', 'rejected'])
  })

  it('refuses whom the write left unanswered or failed', async () => {
    const silent = group(() => Promise.resolve())
    await expect(silent.submit(1)).rejects.toThrow('unanswered')
    const broken = group(() => Promise.reject(new Error('boom')))
    await expect(broken.submit(1)).rejects.toThrow('unanswered')
  })

  it('answers everybody accepted before it closes, and nobody after', async () => {
    const gate = gatedWrite()
    const commit = group(gate.write)
    const accepted = [1, 2, 3, 4, 5].map((n) => commit.submit(n))
    let isClosed = false
    const closing = commit.close().then(() => {
      isClosed = true
    })
    await expect(commit.submit(6)).rejects.toThrow('closed')
    for (let i = 0; i < 2; i += 1) {
      await expect.poll(() => gate.batches.length, { interval: 1 }).toBeGreaterThan(i)
      expect(isClosed).toBe(false)
      gate.batches[i]?.release()
    }
    expect(await Promise.all(accepted)).toEqual([2, 4, 6, 8, 10])
    await closing
  })

  it('closes although everybody waiting was refused meanwhile', async () => {
    const gate = gatedWrite()
    const commit = group(gate.write, { maxInFlight: 1, maxRows: 1, deadlineMs: 30 })
    const answers = Promise.allSettled([commit.submit(1), commit.submit(2)])
    await answers
    gate.batches[0]?.release()
    await commit.close()
  })
})
