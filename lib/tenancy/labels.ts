/**
 * What people call the ids in a list: names of people, agents and accounts of one workspace, for showing only.
 *
 * @module
 */
import type { AppTx } from '../db/app-db'

export interface Labels {
  person(id: string | null): string | null
  agent(id: string | null): string | null
  connection(id: string | null): string | null
}

type Ids = Iterable<string | null>

/** Reads the labels of these ids in the transaction's workspace. An id it does not know has no label. */
export async function readLabels(
  tx: AppTx,
  ids: { readonly people?: Ids; readonly agents?: Ids; readonly connections?: Ids },
): Promise<Labels> {
  const people = distinct(ids.people)
  const agents = distinct(ids.agents)
  const connections = distinct(ids.connections)
  const names = new Map<string, string>()
  if (people.length > 0)
    for (const row of await tx.person.findMany({
      where: { id: { in: people } },
      select: { id: true, name: true, email: true },
    }))
      names.set(row.id, row.name === '' ? row.email : row.name)
  if (agents.length > 0)
    for (const row of await tx.agent.findMany({ where: { id: { in: agents } }, select: { id: true, name: true } }))
      names.set(row.id, row.name)
  if (connections.length > 0)
    for (const row of await tx.connection.findMany({
      where: { id: { in: connections } },
      select: { id: true, accountLabel: true },
    }))
      names.set(row.id, row.accountLabel)
  const label = (id: string | null) => (id === null ? null : (names.get(id) ?? null))
  return { person: label, agent: label, connection: label }
}

const distinct = (ids: Ids = []): string[] => [...new Set([...ids].filter((id) => id !== null))]
