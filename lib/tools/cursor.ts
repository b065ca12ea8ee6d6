/**
 * Page cursors that mean something to us alone. A cursor belongs to one tool and one set of arguments, and holds a page
 * number or the provider's own opaque mark, never a URL: whatever is forged into it ends as one query value of the
 * request that the arguments describe.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import { z } from 'zod'

import { canonicalJson } from '../audit/canonical'
import { InvalidArgument } from './invalid-argument'

const MAX_CURSOR_LENGTH = 4_096
const stateSchema = z.union([z.int().min(1).max(1_000_000), z.string().regex(/^[\x21-\x7e]{1,2048}$/)])
/** A page number, or what the provider called its next page. */
export type CursorState = z.infer<typeof stateSchema>

const cursorSchema = z.strictObject({ v: z.literal(1), d: z.string(), s: stateSchema })

export const cursorArgument = z
  .string()
  .max(MAX_CURSOR_LENGTH)
  .optional()
  .describe('next_cursor of the page before, with otherwise the same arguments.')

export function encodeCursor(tool: string, args: Readonly<Record<string, unknown>>, state: CursorState): string {
  return Buffer.from(JSON.stringify({ v: 1, d: digest(tool, args), s: state })).toString('base64url')
}

/** @throws InvalidArgument when the cursor is not one of this tool with these arguments */
export function decodeCursor(tool: string, args: Readonly<Record<string, unknown>>, cursor: string): CursorState {
  const parsed = cursorSchema.safeParse(parse(cursor))
  if (!parsed.success || parsed.data.d !== digest(tool, args))
    throw new InvalidArgument('cursor: does not belong to this tool with these arguments; leave it out to start again')
  return parsed.data.s
}

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}

/** `cursor` itself is left out: `undefined` members are not written. */
function digest(tool: string, args: Readonly<Record<string, unknown>>): string {
  const shape = canonicalJson({ ...args, cursor: undefined })
  return createHash('sha256').update(`${tool}\n${shape}`).digest('base64url').slice(0, 22)
}
