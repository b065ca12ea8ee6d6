import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { openOauthKeys, rotateOauthKeys } from './keys'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'portcullis-oauth-keys-'))
  file = path.join(folder, 'data', 'oauth-keys.json')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the keys of the authorization server', () => {
  it('are made on the first run, for one user’s eyes, the same for all that start at once', async () => {
    const opened = await Promise.all(Array.from({ length: 8 }, () => openOauthKeys(file)))
    expect(new Set(opened.map(({ cookieKeys }) => cookieKeys.join())).size).toBe(1)
    expect(((await stat(file)).mode & 0o777).toString(8)).toBe('600')
    expect(opened[0]?.cookieKeys).toHaveLength(1)
  })

  it('stay valid for what is under way when they are rotated, and new ones are used', async () => {
    const before = await openOauthKeys(file)
    const proof = before.prove('words')
    expect(await rotateOauthKeys(file)).toEqual({ kept: 1 })
    const after = await openOauthKeys(file)
    expect(after.isProof(proof, 'words')).toBe(true)
    expect(after.prove('words')).not.toBe(proof)
    expect(before.isProof(after.prove('words'), 'words')).toBe(false)
    expect(after.cookieKeys[1]).toBe(before.cookieKeys[0])
    expect(after.signingKeys.map(({ kid }) => kid)).toHaveLength(2)
    expect(after.signingKeys[1]).toEqual(before.signingKeys[0])
  })

  it('are forgotten with the second rotation', async () => {
    const before = await openOauthKeys(file)
    const proof = before.prove('words')
    await rotateOauthKeys(file)
    await rotateOauthKeys(file)
    expect((await openOauthKeys(file)).isProof(proof, 'words')).toBe(false)
    expect(await readFile(file, 'utf8')).not.toContain(before.cookieKeys[0])
  })

  it('prove their own words and nothing else', async () => {
    const keys = await openOauthKeys(file)
    const proof = keys.prove('words')
    expect(keys.isProof(proof, 'words')).toBe(true)
    for (const [given, words] of [
      [proof, 'word'],
      [proof.slice(0, -1), 'words'],
      ['', 'words'],
      [keys.prove('other'), 'words'],
    ] as const)
      expect(keys.isProof(given, words)).toBe(false)
  })

  it('that cannot be read stop the start and are not repeated', async () => {
    await openOauthKeys(file)
    await writeFile(file, '{"version":1,"cookies":["secret-text"]}')
    for (const open of [openOauthKeys, rotateOauthKeys])
      await expect(open(file)).rejects.toSatisfy(
        (error: Error) => !`${error.message}${String(error.stack)}`.includes('secret-text'),
      )
    await expect(openOauthKeys(file)).rejects.toMatchObject({ code: 'config.invalid' })
  })
})
