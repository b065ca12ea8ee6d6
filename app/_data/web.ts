/**
 * What the pages' process has: the settings it was given and a connection with the rights of the web role. Made at the
 * first request, so that building the pages needs neither.
 *
 * @module
 */
import 'server-only'

import type { AuthOptions } from 'next-auth'

import { loadConfig, type Config } from '@/lib/config'
import { createAppDb, type AppDb } from '@/lib/db/app-db'
import { AppError } from '@/lib/errors'
import { signInCookies, type SignInCookies } from '@/lib/identity/cookies'
import { createAuthOptions } from '@/lib/identity/next-auth'
import { createSessionReader, type SessionReader } from '@/lib/identity/session-reader'
import { createLog, type Log } from '@/lib/log'

export interface Web {
  readonly config: Config
  readonly db: AppDb
  readonly cookies: SignInCookies
  readonly sessions: SessionReader
  readonly authOptions: AuthOptions
  readonly log: Log
}

// Each of Next's bundles has modules of its own; the process has one pool.
const holder = globalThis as { portcullisWeb?: Web } // a global of our own, typed where it is kept

export function web(): Web {
  holder.portcullisWeb ??= create()
  return holder.portcullisWeb
}

function create(): Web {
  const config = loadConfig()
  if (config.databaseUrl === undefined || config.nextAuthSecret === undefined)
    throw new AppError('config.invalid', 'The pages need DATABASE_URL (of the web role) and NEXTAUTH_SECRET.')
  const log = createLog('web', config.logLevel)
  const db = createAppDb(config.databaseUrl, { role: 'portcullis_web' })
  const cookies = signInCookies(config.publicUrl)
  const sessions = createSessionReader(db)
  return {
    config,
    db,
    cookies,
    sessions,
    log,
    authOptions: createAuthOptions({
      reader: sessions,
      cookies,
      secret: config.nextAuthSecret.reveal(),
      onFault: (code) => log.error({ code }, 'next-auth failed'),
    }),
  }
}
