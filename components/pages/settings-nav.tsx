import { TabNav } from '@/components/ui/tab-nav'

const tabs = [
  ['workspace', '/settings', 'Workspace'],
  ['people', '/settings/people', 'People'],
  ['single-sign-on', '/settings/single-sign-on', 'Single sign-on'],
  ['api-keys', '/settings/api-keys', 'API keys'],
  ['account', '/settings/account', 'Your account'],
] as const

export function SettingsNav({ current }: { current: (typeof tabs)[number][0] }) {
  return (
    <TabNav label="Settings" tabs={tabs.map(([name, href, label]) => ({ href, label, isCurrent: name === current }))} />
  )
}
