/**
 * What every command calls: one operation of the REST API by its `operationId`, wherever it runs. Remote over HTTP with an
 * API key; local in this process, on the databases, as the operator of the machine.
 *
 * @module
 */
export interface CallInput {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
}

export interface Api {
  /** Where it runs, for messages. */
  readonly where: string
  /** The answer of the operation. @throws AppError with the code the service answered. */
  call(operationId: string, input?: CallInput): Promise<unknown>
  /** The lines of a streaming operation. */
  lines(operationId: string, input?: CallInput): AsyncIterable<string>
  close(): Promise<void>
}
