import { LiveRefresh } from '@/app/_client/live'
import { readOverview } from '@/app/_data/activity'
import { listConnections } from '@/app/_data/connections'
import { readStart } from '@/app/_data/home'
import { requireViewer } from '@/app/_data/session'
import { web } from '@/app/_data/web'
import { FirstRunGuide } from '@/components/pages/first-run-guide'
import { Home } from '@/components/pages/home'

// Whatever the page shows is recorded, so the newest record is the sign that it is out of date.
const watch = '/api/v1/activity?limit=1'

export default async function HomePage() {
  const viewer = await requireViewer()
  const start = await readStart(viewer)
  if (!start.isDone) {
    return (
      <>
        <LiveRefresh watch={watch} everyMs={2_000} />
        <FirstRunGuide
          workspaceName={viewer.workspace.name}
          progress={start.progress}
          isSandbox={web().config.sandbox}
        />
      </>
    )
  }
  const [connections, overview] = await Promise.all([listConnections(viewer), readOverview(viewer)])
  return (
    <>
      <LiveRefresh watch={watch} />
      <Home
        workspaceName={viewer.workspace.name}
        connections={connections}
        agentCount={start.agentCount}
        activeSessionCount={start.activeSessionCount}
        calls={overview.calls}
        recent={overview.recent}
      />
    </>
  )
}
