/**
 * Shapes that several endpoints answer with.
 *
 * @module
 */
import { z } from 'zod'

/** An instant, as ISO 8601 in UTC. Domains hand over a `Date`. */
export const time = z.preprocess((value) => (value instanceof Date ? value.toISOString() : value), z.iso.datetime())

export const pageQuery = z.strictObject({
  cursor: z.string().max(1_024).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
})
