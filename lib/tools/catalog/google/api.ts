/**
 * What every Google tool shares.
 *
 * @module
 */
import { z } from 'zod'

export const scope = (name: string) => `https://www.googleapis.com/auth/${name}`

/** Gmail ids are hexadecimal, Calendar's are looser; neither has anything a path could be made of. */
export const messageIdArgument = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, 'is not a message id')

export const calendarArgument = z
  .string()
  .regex(/^[A-Za-z0-9._%+#@-]{1,254}$/, 'is not a calendar id')
  .default('primary')
  .describe('"primary" or the e-mail address that names the calendar.')

/** One plain address: no display name, no list, no route, nothing a header could be continued with (RFC 5321 §4.1.2). */
export const emailArgument = z
  .string()
  .max(254)
  .regex(
    /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$/,
    'is not an e-mail address',
  )
  .refine((address) => !address.includes('..'), 'is not an e-mail address')

export const pageToken = (page: unknown): string | undefined => (typeof page === 'string' ? page : undefined)
