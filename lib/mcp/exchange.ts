/**
 * One exchange with one server instance: messages in, messages out, nothing kept.
 *
 * The SDK's own single-exchange transport makes a web-standard Response; half of a call's time would go into building it
 * and reading it back. This one hands over the messages themselves. It stays a subclass, because that is how a server
 * learns which revision it serves.
 *
 * @module
 */
import {
  isJSONRPCNotification,
  PerRequestHTTPServerTransport,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type McpServer,
  type MessageClassification,
  type RequestId,
} from '@modelcontextprotocol/server'

export interface Reply {
  readonly message: JSONRPCMessage
  /** True when the protocol layer answered by itself, before any handler ran: such errors have an HTTP status of their own. */
  readonly isFromProtocol: boolean
}

class ExchangeTransport extends PerRequestHTTPServerTransport {
  readonly #waiting = new Map<RequestId, (reply: Reply) => void>()
  #isDispatching = false

  deliver(request: JSONRPCRequest, classification: MessageClassification | undefined): Promise<Reply> {
    const reply = new Promise<Reply>((resolve) => this.#waiting.set(request.id, resolve))
    this.#isDispatching = true
    try {
      this.onmessage?.(request, classification === undefined ? {} : { classification })
    } finally {
      this.#isDispatching = false
    }
    return reply
  }

  /** Notices of progress, in their order, before the answer. Requests to the client do not exist here. */
  onNotice: ((message: JSONRPCMessage) => void) | undefined

  override send(message: JSONRPCMessage): Promise<void> {
    if (isJSONRPCNotification(message)) this.onNotice?.(message)
    if (('result' in message || 'error' in message) && message.id !== undefined) {
      this.#waiting.get(message.id)?.({ message, isFromProtocol: this.#isDispatching })
      this.#waiting.delete(message.id)
    }
    return Promise.resolve()
  }
}

/**
 * Serves requests with a server made for them.
 *
 * @param classification  of a modern request; absent on the older leg
 * @param onNotice  told of each notification before the answers
 */
export async function exchange(
  server: McpServer,
  requests: readonly JSONRPCRequest[],
  classification?: MessageClassification,
  onNotice?: (message: JSONRPCMessage) => void,
): Promise<Reply[]> {
  const transport = new ExchangeTransport({ classification: classification ?? { era: 'legacy' } })
  transport.onNotice = onNotice
  await server.server.connect(transport)
  // Nothing is closed afterwards: server and transport hold no timer and no socket, and are forgotten together.
  return Promise.all(requests.map((request) => transport.deliver(request, classification)))
}
