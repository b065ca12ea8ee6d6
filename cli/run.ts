import type { Command } from 'commander'

import type { Config } from '@/lib/config'

import type { Api } from './api'
import type { Output } from './output'

/** What a command's body gets. */
export type Body = (api: Api, output: Output, config: Config) => Promise<void>
export type Run = (body: Body) => Promise<void>
/** Adds one noun's commands to the program. */
export type Register = (program: Command, run: Run) => void
