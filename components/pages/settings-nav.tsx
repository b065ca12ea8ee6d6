import { TabNav } from '@/components/ui/tab-nav'

export function SettingsNav({ current }: { current: 'workspace' | 'account' }) {
  return (
    <TabNav
      label="Settings"
      tabs={[
        { href: '/settings', label: 'Workspace', isCurrent: current === 'workspace' },
        { href: '/settings/account', label: 'Your account', isCurrent: current === 'account' },
      ]}
    />
  )
}
