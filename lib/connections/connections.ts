/**
 * Everything a connection goes through but its use: consent, renewal, end, repair.
 *
 * @module
 */
import { createCallback } from './callback'
import { createComplete } from './complete'
import type { ConnectionsDeps } from './deps'
import { createDisconnect } from './disconnect'
import { createPurge } from './purge'
import { createRestore } from './restore'
import { createRevoke } from './revoke'
import { createShare } from './share'
import { createStart } from './start'
import { createSweep } from './sweep'
import { createView } from './view'

export type Connections = ReturnType<typeof createConnections>

export function createConnections(deps: ConnectionsDeps) {
  const completion = createComplete(deps)
  const ending = createDisconnect(deps)
  return {
    start: createStart(deps),
    callback: createCallback(deps, completion),
    disconnect: ending.disconnect,
    ...createRestore(deps),
    ...createRevoke(deps),
    ...createPurge(deps, ending),
    ...createShare(deps),
    ...createSweep(deps, completion, ending),
    ...createView(deps),
  }
}
