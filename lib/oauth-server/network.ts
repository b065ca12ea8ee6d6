/**
 * Whose request is being served: what a client makes us fetch counts against the network it came from, deep inside the
 * library too.
 *
 * @module
 */
import { AsyncLocalStorage } from 'node:async_hooks'

const networks = new AsyncLocalStorage<string>()

export const servingNetwork = <T>(network: string, work: () => T): T => networks.run(network, work)
export const currentNetwork = (): string => networks.getStore() ?? ''
