import { parseOptions } from '@node-rs/argon2'
import { describe, expect, it } from 'vitest'

import type { AppError } from '@/lib/errors'
import { createPasswords, DUMMY_HASH, PASSWORD_PARAMETERS } from '@/lib/identity/password'
import { checkNewPassword } from '@/lib/identity/password-policy'
import { createSemaphore } from '@/lib/identity/semaphore'

describe('passwords', () => {
  it('carry their parameters in the hash, above the floor of OWASP, and are salted', async () => {
    const passwords = createPasswords()
    const [one, two] = [await passwords.hash('a long password'), await passwords.hash('a long password')]
    expect(one).not.toBe(two)
    expect(one).toMatch(/^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$/)
    expect(PASSWORD_PARAMETERS.memoryCost).toBeGreaterThanOrEqual(19_456)
    expect(PASSWORD_PARAMETERS.timeCost).toBeGreaterThanOrEqual(2)
    expect(await passwords.verify(one, 'a long password')).toEqual({ matches: true, isOutdated: false })
    expect((await passwords.verify(one, 'a long Password')).matches).toBe(false)
  })

  it('are checked for nobody with exactly the parameters of everybody', () => {
    const { memoryCost, timeCost, parallelism, outputLen } = parseOptions(DUMMY_HASH)
    expect({ memoryCost, timeCost, parallelism, outputLen }).toEqual(PASSWORD_PARAMETERS)
  })

  it('are the same however the keyboard composes its letters', async () => {
    const passwords = createPasswords()
    const stored = await passwords.hash('caf\u00e9 au lait')
    expect((await passwords.verify(stored, 'cafe\u0301 au lait')).matches).toBe(true)
  })

  it('are computed a few at a time; what does not fit in the queue is refused and not computed', async () => {
    let computations = 0
    const passwords = createPasswords({ concurrency: 2, queue: 3, onCompute: () => (computations += 1) })
    const settled = await Promise.allSettled(Array.from({ length: 12 }, () => passwords.verify(undefined, 'x')))
    const refused = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as AppError] : []))
    expect(refused.map((error) => error.code)).toEqual(Array.from({ length: 7 }, () => 'request.rate_limited'))
    expect(computations).toBe(5)
  })
})

describe('the bounded queue', () => {
  it('never runs more at once than it may, and goes on after a failure', async () => {
    const semaphore = createSemaphore({ concurrency: 2, queue: 10 })
    const gates: (() => void)[] = []
    let running = 0
    let most = 0
    const work = (fails: boolean) =>
      semaphore.run(async () => {
        running += 1
        most = Math.max(most, running)
        await new Promise<void>((resolve) => gates.push(resolve))
        running -= 1
        if (fails) throw new Error('on purpose')
      })
    const all = Array.from({ length: 6 }, (_, index) => work(index % 2 === 0))
    const settled = Promise.allSettled(all)
    for (let opened = 0; opened < 6; opened += 1) {
      while (gates.length === 0) await new Promise((resolve) => setImmediate(resolve))
      gates.shift()?.()
    }
    expect((await settled).filter((one) => one.status === 'rejected')).toHaveLength(3)
    expect(most).toBe(2)
  })
})

describe('a new password', () => {
  const context = { email: 'ada@example.com', name: 'Ada Lovelace', workspaceName: 'Analytical Engines' }
  it.each([
    ['nine char', 'too short'],
    ['x'.repeat(257), 'too long'],
    ['1234567890', 'common'],
    ['QWERTYUIOP', 'common in capitals'],
    ['p@ssw0rd123', 'common with signs'],
    ['ada@example.com', 'the address'],
    ['Ada-Lovelace1', 'the name'],
    ['analyticalengines', 'the workspace'],
  ])('%s is refused: %s', (password) => {
    expect(() => checkNewPassword(password, context)).toThrow(expect.objectContaining({ field: 'password' }))
  })

  it.each(['tin lorry umbrella', 'x'.repeat(256), '日本語のとても長い合言葉', 'analyticalengines rust in the rain'])(
    '%s is taken without digits, capitals or signs',
    (password) => {
      expect(() => checkNewPassword(password, context)).not.toThrow()
    },
  )
})
