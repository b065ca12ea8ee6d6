import { TabNav } from '@/components/ui/tab-nav'

const tabs = [
  ['activity', '/activity', 'Activity'],
  ['exports', '/activity/exports', 'Exports'],
  ['streams', '/activity/streams', 'Streams'],
  ['integrity', '/activity/integrity', 'Integrity'],
] as const
type Tab = (typeof tabs)[number][0]

/** For those who may take the trail with them or have it verified; everybody else has the list alone. */
export function ActivityNav({ current, canExport = true }: { current: Tab; canExport?: boolean }) {
  const shown = tabs.filter(([name]) => canExport || name === 'activity' || name === 'integrity')
  return (
    <TabNav
      label="Activity"
      tabs={shown.map(([name, href, label]) => ({ href, label, isCurrent: name === current }))}
    />
  )
}
