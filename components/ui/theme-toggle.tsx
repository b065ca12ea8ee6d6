'use client'

import { Monitor, Moon, Sun } from 'lucide-react'
import { ToggleGroup } from 'radix-ui'
import { useState } from 'react'

import type { Theme } from '@/components/theme'
import { isTheme, themeCookie } from '@/components/theme'
import { cn } from '@/components/cn'

const choices = [
  { value: 'system', label: 'As the system', Icon: Monitor },
  { value: 'light', label: 'Light', Icon: Sun },
  { value: 'dark', label: 'Dark', Icon: Moon },
] as const

const oneYearSeconds = 31_536_000

/**
 * Light, dark or as the system says. The choice is a cookie, so the server writes the theme into the first byte of the next
 * page and nothing flashes.
 */
export function ThemeToggle({ theme, className }: { theme: Theme; className?: string }) {
  const [chosen, setChosen] = useState(theme)
  const choose = (value: string) => {
    if (!isTheme(value)) return
    setChosen(value)
    const secure = window.location.protocol === 'https:' ? '; Secure' : ''
    document.cookie = `${themeCookie}=${value}; Path=/; Max-Age=${oneYearSeconds}; SameSite=Lax${secure}`
    if (value === 'system') delete document.documentElement.dataset['theme']
    else document.documentElement.dataset['theme'] = value
  }
  return (
    <ToggleGroup.Root
      type="single"
      value={chosen}
      onValueChange={choose}
      aria-label="Theme"
      className={cn('inline-flex rounded-md border border-line bg-sunken p-0.5', className)}
    >
      {choices.map(({ value, label, Icon }) => (
        <ToggleGroup.Item
          key={value}
          value={value}
          aria-label={label}
          title={label}
          className="grid h-10 flex-1 place-items-center rounded-sm px-3 text-muted hover:text-ink data-[state=on]:bg-surface data-[state=on]:text-ink data-[state=on]:shadow-card md:h-7"
        >
          <Icon aria-hidden className="size-4" />
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  )
}
