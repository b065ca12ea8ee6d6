/**
 * Real processes for tests: a module of ours is bundled once and run by plain Node, with a channel for messages.
 *
 * @module
 */
import { fork, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdirSync } from 'node:fs'
import path from 'node:path'

import { build } from 'esbuild'

const bundles = new Map<string, Promise<string>>()

/** @param entry  path of the module from the repository's root */
export function bundle(entry: string): Promise<string> {
  let made = bundles.get(entry)
  if (made === undefined) {
    const folder = path.resolve('node_modules/.cache/portcullis-test')
    mkdirSync(folder, { recursive: true })
    const outfile = path.join(folder, `${entry.replaceAll(/[^a-z0-9]+/gi, '-')}-${process.pid}.mjs`)
    made = build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      packages: 'external',
      alias: { '@': process.cwd() },
      logLevel: 'silent',
    }).then(() => outfile)
    bundles.set(entry, made)
  }
  return made
}

export interface TestProcess<Sent, Received> {
  readonly child: ChildProcess
  send(value: Sent): void
  /** The first message that fits and was not taken yet. Fails when the process ends without one. */
  receive<T extends Received>(isWanted: (value: Received) => value is T): Promise<T>
  /** SIGKILL, and it is gone when this resolves. */
  kill(): Promise<void>
}

/**
 * Starts the bundle; its standard streams are the test's.
 *
 * @param options.isQuiet  drops what it prints: for a process that is meant to die of an error
 * @param options.maxFileBlocks  no file that it writes grows beyond so many blocks of half or one kilobyte, as on a disk
 *   that is full
 */
export function start<Sent extends object, Received>(
  file: string,
  argument: unknown,
  options: { readonly isQuiet?: boolean; readonly maxFileBlocks?: number } = {},
): TestProcess<Sent, Received> {
  const out = options.isQuiet === true ? 'ignore' : 'inherit'
  const limited =
    options.maxFileBlocks === undefined
      ? {}
      : {
          execPath: '/bin/sh',
          execArgv: ['-c', `ulimit -f ${options.maxFileBlocks} && exec "$0" "$@"`, process.execPath],
        }
  const child = fork(file, [JSON.stringify(argument)], {
    stdio: ['ignore', out, out, 'ipc'],
    execArgv: [],
    ...limited,
  })
  const inbox: Received[] = []
  const changed = new EventEmitter().setMaxListeners(100)
  child.on('message', (value) => {
    inbox.push(value as Received) // the caller knows what it talks to
    changed.emit('change')
  })
  child.on('exit', () => changed.emit('change'))
  const isOver = () => child.exitCode !== null || child.signalCode !== null
  return {
    child,
    send: (value) => void child.send(value),
    async receive(isWanted) {
      for (;;) {
        for (const [index, value] of inbox.entries())
          if (isWanted(value)) {
            inbox.splice(index, 1)
            return value
          }
        if (isOver()) throw new Error(`The process ended first: ${child.signalCode ?? child.exitCode}`)
        await once(changed, 'change')
      }
    },
    async kill() {
      if (isOver()) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}
