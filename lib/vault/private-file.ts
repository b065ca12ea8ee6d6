/**
 * Files and folders for one user's eyes: 0600 and 0700, written whole or not at all, and on disk before anybody is told.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, link, mkdir, open, readdir, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import path from 'node:path'

import { AppError } from '../errors'

const OTHERS = 0o077
const DRAFT = '.draft'

/** Makes the folder, with its parents, and takes others' rights on it away. */
export async function privateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await tighten(folder, 0o700)
}

/**
 * @returns undefined when there is no such file
 * @throws AppError `vault.key_unavailable` when others may read it and that cannot be changed
 */
export async function readPrivate(file: string): Promise<Buffer | undefined> {
  const handle = await open(file, constants.O_RDONLY).catch(ignore('ENOENT', 'ENOTDIR'))
  if (handle === undefined) return undefined
  try {
    if (((await handle.stat()).mode & OTHERS) !== 0) await tighten(file, 0o600)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

/**
 * Writes a file that does not exist yet. Of several processes that do so at once exactly one wins.
 *
 * The whole content is on disk under a name of its own before it gets this one: `link` is a rename that refuses to
 * replace, so a crash leaves no half file and a race no lost key.
 *
 * @returns false when the file is there already; it is untouched
 */
export async function createPrivate(file: string, content: Uint8Array): Promise<boolean> {
  const draft = await writeDraft(file, content)
  try {
    await link(draft, file)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(draft)
  }
  await syncFolder(path.dirname(file))
  return true
}

/**
 * Writes a file, over another if there is one. A reader sees all of the one or all of the other.
 *
 * @param options.shred  overwrites what was there once nothing leads to it any more. A reader that had just opened it may
 *   see zeros and has to read again.
 */
export async function replacePrivate(
  file: string,
  content: Uint8Array,
  options: { readonly shred?: boolean } = {},
): Promise<void> {
  const draft = await writeDraft(file, content)
  const old = options.shred === true ? await open(file, 'r+').catch(ignore('ENOENT')) : undefined
  try {
    await rename(draft, file)
    await syncFolder(path.dirname(file))
    if (old !== undefined) await overwrite(old)
  } finally {
    await old?.close()
  }
}

/** Destroys what a process that died while writing this file left beside it. Only while nobody else writes it. */
export async function shredDrafts(file: string): Promise<void> {
  const names = (await readdir(path.dirname(file)).catch(ignore('ENOENT'))) ?? []
  for (const name of names)
    if (name.startsWith(`${path.basename(file)}.`) && name.endsWith(DRAFT))
      await shredPrivate(path.join(path.dirname(file), name))
}

/** Removes a file for good: its bytes are overwritten first, as far as the file system lets them be. */
export async function shredPrivate(file: string): Promise<void> {
  const handle = await open(file, 'r+').catch(ignore('ENOENT', 'ENOTDIR'))
  if (handle === undefined) return
  try {
    await overwrite(handle)
  } finally {
    await handle.close()
  }
  await unlink(file).catch(ignore('ENOENT'))
  await syncFolder(path.dirname(file))
}

async function overwrite(handle: FileHandle): Promise<void> {
  await handle.write(Buffer.alloc((await handle.stat()).size), 0, undefined, 0)
  await handle.sync()
}

async function writeDraft(file: string, content: Uint8Array): Promise<string> {
  const draft = `${file}.${randomBytes(9).toString('hex')}${DRAFT}`
  const handle = await open(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } catch (error) {
    await unlink(draft)
    throw error
  } finally {
    await handle.close()
  }
  return draft
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function tighten(target: string, mode: number): Promise<void> {
  if (((await stat(target)).mode & OTHERS) === 0) return
  try {
    await chmod(target, mode)
  } catch (cause) {
    throw new AppError('vault.key_unavailable', `Other users may read ${target}; give it mode ${mode.toString(8)}.`, {
      cause,
    })
  }
}

/** A handler that turns these system errors into undefined. */
export function ignore(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (codes.includes(codeOf(error) ?? '')) return undefined
    throw error
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
