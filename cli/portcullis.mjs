#!/usr/bin/env node
// @ts-check
// The command line as installed: the bundle when it was built, else a hint. It runs on Node built-ins alone until then.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

import { loadEnvFile } from '../launcher/environment.mjs'

loadEnvFile(path.join(import.meta.dirname, '..')) // the settings `npm start` has
const bundle = path.join(import.meta.dirname, '..', '.build', 'cli.mjs')
if (existsSync(bundle)) await import(pathToFileURL(bundle).href)
else {
  console.error('portcullis: not built yet. Run `npm start` or `npm run build` once.')
  process.exitCode = 1
}
