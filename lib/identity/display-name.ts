/**
 * Names that people choose for themselves and their workspaces: one line, no control characters, and none that turn the
 * direction of text, so that a name cannot dress up as something else in a page, a mail or a terminal.
 *
 * @see Unicode Technical Report 36 §3.1 (bidirectional spoofing)
 * @module
 */
import { AppError } from '../errors'

// Cc, Cf (zero-width, bidi controls, tags), Co, Cs, line and paragraph separators. U+200D and U+200C stay: scripts and emoji need them.
const FORBIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u
const MAX_LENGTH = 80

/** @throws AppError `request.invalid` naming `field` */
export function parseDisplayName(input: string, field: string): string {
  const name = input.normalize('NFC').trim()
  if (name === '') throw new AppError('request.invalid', 'This may not be empty.', { field })
  if (FORBIDDEN.test(name))
    throw new AppError('request.invalid', 'This has characters that cannot be shown.', { field })
  if (Array.from(name).length > MAX_LENGTH)
    throw new AppError('request.invalid', `This may have at most ${MAX_LENGTH} characters.`, { field })
  return name
}
