import { TabNav } from '@/components/ui/tab-nav'

const tabs = [
  ['activity', '/activity', 'Activity'],
  ['exports', '/activity/exports', 'Exports'],
  ['streams', '/activity/streams', 'Streams'],
] as const

/** For those who may take the trail with them; everybody else has the list alone. */
export function ActivityNav({ current }: { current: (typeof tabs)[number][0] }) {
  return (
    <TabNav label="Activity" tabs={tabs.map(([name, href, label]) => ({ href, label, isCurrent: name === current }))} />
  )
}
