import type { Metadata } from 'next'
import { notFound } from 'next/navigation'

import { AgentPage } from '@/app/(dashboard)/agents/_components/agent-page'
import { ToolsTab } from '@/app/(dashboard)/agents/_components/tools-tab'
import { ConnectTab } from '@/app/(dashboard)/agents/_components/connect-tab'
import { DoctorTab } from '@/app/(dashboard)/agents/_components/doctor-tab'
import { SessionsView } from '@/app/(dashboard)/sessions/_components/sessions-view'
import { findAgent, listAgentSessions, type AgentFacts } from '@/app/_data/agents'
import { listAccounts } from '@/app/_data/connections'
import { requireViewer, type Viewer } from '@/app/_data/session'
import { isPermitted } from '@/lib/tenancy/permission'

export const metadata: Metadata = { title: 'Agent' }

const tabs = ['tools', 'connect', 'sessions', 'doctor'] as const
type Tab = (typeof tabs)[number]

export default async function Agent({
  params,
  searchParams,
}: {
  params: Promise<{ agentId: string }>
  searchParams: Promise<Readonly<Record<string, string | string[] | undefined>>>
}) {
  const viewer = await requireViewer()
  const agent = await findAgent(viewer, (await params).agentId)
  if (agent === undefined) notFound()
  const { tab: wanted, client } = await searchParams
  const tab = tabs.find((one) => one === wanted) ?? 'tools'
  return (
    <AgentPage
      agent={{
        id: agent.id,
        name: agent.name,
        description: agent.description,
        isEnabled: agent.isEnabled,
        toolCount: agent.profile.tools.allow.length,
        activeSessionCount: agent.activeSessionCount,
      }}
      tab={tab}
      canManage={isPermitted(viewer.role, 'agent.disable')}
    >
      <TabBody viewer={viewer} agent={agent} tab={tab} client={typeof client === 'string' ? client : undefined} />
    </AgentPage>
  )
}

async function TabBody({
  viewer,
  agent,
  tab,
  client,
}: {
  viewer: Viewer
  agent: AgentFacts
  tab: Tab
  client: string | undefined
}) {
  switch (tab) {
    case 'tools':
      return (
        <ToolsTab
          agentId={agent.id}
          profile={agent.profile}
          profileVersion={agent.profileVersion}
          accounts={(await listAccounts(viewer)).filter(({ isOwn }) => isOwn)}
          canManage={isPermitted(viewer.role, 'profile.apply')}
        />
      )
    case 'connect':
      return (
        <ConnectTab
          agentId={agent.id}
          agentName={agent.name}
          mcpUrl={agent.mcpUrl}
          isAgentEnabled={agent.isEnabled}
          canIssue={isPermitted(viewer.role, 'session.issue')}
          client={client}
        />
      )
    case 'doctor':
      return <DoctorTab agentId={agent.id} />
    case 'sessions':
      return (
        <SessionsView
          sessions={await listAgentSessions(viewer, agent.id)}
          agentId={agent.id}
          canManage={isPermitted(viewer.role, 'session.revoke')}
        />
      )
  }
}
