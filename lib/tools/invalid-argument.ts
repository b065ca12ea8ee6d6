/**
 * An argument that passed its schema and still cannot be used. Answered to the agent like a schema error, before
 * anything is sent.
 *
 * @module
 */
export class InvalidArgument extends Error {
  override readonly name = 'InvalidArgument'
}
