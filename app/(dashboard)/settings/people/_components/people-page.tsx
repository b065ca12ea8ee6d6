'use client'

import { useRouter } from 'next/navigation'

import { LiveRefresh } from '@/app/_client/live'
import { send, text } from '@/app/_client/request'
import { PeopleSettings } from '@/components/pages/people-settings'
import type { PeopleSettingsProps } from '@/components/pages/people-settings'

type Facts = Pick<PeopleSettingsProps, 'workspace' | 'members' | 'invitations' | 'canManage' | 'reachable'>

export function PeoplePage(facts: Facts) {
  const router = useRouter()
  const change = async (method: 'PATCH' | 'DELETE', path: `/api/v1/${string}`, body = {}) => {
    const result = await send(method, path, body, () => undefined)
    if (result.ok) router.refresh()
    return result
  }
  return (
    <>
      <LiveRefresh watch="/api/v1/members" everyMs={10_000} />
      <PeopleSettings
        {...facts}
        onChangeRole={({ id, role }) => change('PATCH', `/api/v1/members/${id}`, { role })}
        onRemove={async ({ id }) => {
          const isSelf = facts.members.some((member) => member.id === id && member.isYou)
          if (!isSelf) return change('DELETE', `/api/v1/members/${id}`)
          const result = await send('DELETE', `/api/v1/members/${id}`, {}, () => undefined)
          // Everything on the pages belonged to the workspace that was left.
          if (result.ok) window.location.assign('/')
          return result
        }}
        onInvite={async ({ email, role, days }) => {
          const body = { email, role, expiresInDays: days }
          const result = await send('POST', '/api/v1/invitations', body, (answer) => text(answer, 'url'))
          if (result.ok) router.refresh()
          return result
        }}
        onWithdraw={({ id }) => change('DELETE', `/api/v1/invitations/${id}`)}
      />
    </>
  )
}
