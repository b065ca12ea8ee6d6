/**
 * A product in which the main job is done: a person has signed up, connected an account of each provider, and made an
 * agent that may use every tool and holds a session key. Consent is given at the sandbox's own pages, without a browser.
 *
 * @module
 */
import { consentAs } from '../../sandbox/browser'
import { createAgent, type Agent } from './agent'
import { removeData, startProduct, type Product, type StartOptions } from './product'
import { PROVIDERS, sandboxControl, type Provider, type SandboxControl } from './sandbox'
import { createVisitor, signUpFirst, type Account, type Answer, type Visitor } from './visitor'

export const OWNER: Account = {
  email: 'ana@juniperfreight.example',
  name: 'Ana Ribeiro',
  password: 'eleven bikes and a harbour crane',
}

/** A cheap reading call of each provider. */
export const READS: Readonly<Record<Provider, { readonly tool: string; readonly args: Record<string, unknown> }>> = {
  github: { tool: 'github_search_repositories', args: { query: 'route' } },
  google: { tool: 'calendar_list_events', args: {} },
  slack: { tool: 'slack_list_channels', args: {} },
}

export interface ConnectOptions {
  /** Which of the sandbox's people consents; the first when absent. */
  readonly person?: number
  /** The connection to renew. */
  readonly connectionId?: string
}

export interface Connected {
  /** The product as it runs now; another one after `restart`. */
  readonly product: Product
  readonly owner: Visitor
  readonly account: Account
  readonly agent: Agent
  readonly sandbox: SandboxControl
  readonly connections: Readonly<Record<Provider, string>>
  connect(provider: Provider, options?: ConnectOptions): Promise<string>
  /** An agent of the owner with these tools, every one when absent, and a session key. */
  newAgent(name: string, tools?: readonly string[]): Promise<Agent>
  /** Starts again on the same data, after the launcher was ended or killed. */
  restart(): Promise<Product>
  /** Ends the product and removes its data. */
  close(): Promise<void>
}

export interface ConnectedOptions extends StartOptions {
  readonly account?: Account
  /** The providers to connect; all three when absent. */
  readonly providers?: readonly Provider[]
  /** Sees every answer the product gives to browser and agent. */
  readonly onAnswer?: (answer: Answer) => void
}

export async function startConnected(options: ConnectedOptions = {}): Promise<Connected> {
  const { account = OWNER, providers = PROVIDERS, onAnswer } = options
  const start = { ...options, sandboxControl: true }
  let product = await startProduct(start)
  try {
    if (product.signUpLink === undefined) throw new Error('the product printed no sign-up link')
    const owner = watched(createVisitor(product.url), onAnswer)
    await signUpFirst(owner, product.signUpLink, account, 'Juniper Freight')
    const connections: Record<Provider, string> = { github: '', google: '', slack: '' }
    for (const provider of providers) connections[provider] = await connect(owner, provider)
    const newAgent = (name: string, tools?: readonly string[]) => makeAgent(product.url, owner, name, tools, onAnswer)
    const agent = await newAgent('Assistant')
    return {
      get product() {
        return product
      },
      get sandbox() {
        return sandboxControl(product.dataDir)
      },
      owner,
      account,
      agent,
      connections,
      connect: (provider, how) => connect(owner, provider, how),
      newAgent,
      restart: async () => {
        product = await startProduct({ ...start, dataDir: product.dataDir, port: product.port })
        return product
      },
      close: async () => {
        await product.stop()
        removeData(product)
      },
    }
  } catch (error) {
    await product.stop()
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${product.output()}`, { cause: error })
  }
}

function watched(visitor: Visitor, onAnswer: ((answer: Answer) => void) | undefined): Visitor {
  if (onAnswer === undefined) return visitor
  return {
    ...visitor,
    send: async (path, options) => {
      const answer = await visitor.send(path, options)
      onAnswer(answer)
      return answer
    },
  }
}

/** What a page's button does, then what the person does at the provider, then the way back. @returns the connection's id */
async function connect(owner: Visitor, provider: Provider, options: ConnectOptions = {}): Promise<string> {
  const { person = 0, connectionId } = options
  const started = await owner.send(`/connect/${provider}`, {
    json: connectionId === undefined ? {} : { connectionId },
  })
  if (started.status !== 200) throw new Error(`connecting ${provider} answered ${started.status}: ${started.body}`)
  const { location } = started.json() as { location: string } // the gateway's own answer
  const page = await (await fetch(location)).text()
  const account = [...page.matchAll(/name="account" value="([^"]+)"/g)][person]?.[1] ?? ''
  const back = await consentAs(location, { account })
  const returned = await owner.send(back.pathname + back.search)
  const result = new URL(returned.headers.location ?? '', 'http://nowhere')
  if (!result.searchParams.has('attempt')) throw new Error(`the return from ${provider} led to ${result.href}`)
  const list = (await owner.send('/api/v1/connections')).json() as { items: { id: string; provider: string }[] } // the API's own shape
  // Newest first; a renewed connection keeps its id.
  const found = list.items.find((item) =>
    connectionId === undefined ? item.provider === provider : item.id === connectionId,
  )
  if (found === undefined) throw new Error(`${provider} was not connected`)
  return found.id
}

async function makeAgent(
  url: string,
  owner: Visitor,
  name: string,
  tools: readonly string[] | undefined,
  onAnswer: ((answer: Answer) => void) | undefined,
): Promise<Agent> {
  const catalogue = (await owner.send('/api/v1/tools')).json() as { items: { name: string }[] } // the API's own shape
  const allow = tools ?? catalogue.items.map((tool) => tool.name)
  const made = await owner.send('/api/v1/agents', { json: { name, profile: { version: 1, tools: { allow } } } })
  if (made.status !== 201) throw new Error(`making an agent answered ${made.status}: ${made.body}`)
  const { id } = made.json() as { id: string } // the API's own shape
  const issued = await owner.send(`/api/v1/agents/${id}/sessions`, { json: {} })
  if (issued.status !== 201) throw new Error(`issuing a key answered ${issued.status}: ${issued.body}`)
  const { sessionKey } = issued.json() as { sessionKey: string } // the API's own shape
  return createAgent({ url, agentId: id, sessionKey, ...(onAnswer === undefined ? {} : { onAnswer }) })
}
