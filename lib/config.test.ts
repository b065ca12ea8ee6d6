import { expect, it } from 'vitest'

import { loadConfig } from './config'
import { AppError } from './errors'

it('takes no signing secret that could be guessed, says so by name, and repeats nothing of it', () => {
  const short = 'thirty-one characters are short'
  expect(short).toHaveLength(31)
  const refusal = (() => {
    try {
      loadConfig({ NEXTAUTH_SECRET: short })
      return undefined
    } catch (error) {
      return error
    }
  })()
  expect(refusal).toBeInstanceOf(AppError)
  const { message } = refusal as AppError // an AppError, as was just seen
  expect(message).toMatch(/NEXTAUTH_SECRET: must be at least 32 characters/)
  expect(message).not.toContain(short)
  expect(loadConfig({ NEXTAUTH_SECRET: `${short}!` }).nextAuthSecret?.reveal()).toBe(`${short}!`)
})
