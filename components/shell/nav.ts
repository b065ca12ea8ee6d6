import { Bot, House, KeyRound, ListTree, Plug, Settings } from 'lucide-react'
import type { LucideIcon } from 'lucide-react'

export interface NavItem {
  readonly href: string
  readonly label: string
  readonly icon: LucideIcon
  /** One of the four that fit into the bar at the bottom of a phone. */
  readonly isPrimary: boolean
}

export const navItems: readonly NavItem[] = [
  { href: '/', label: 'Home', icon: House, isPrimary: true },
  { href: '/connections', label: 'Connections', icon: Plug, isPrimary: true },
  { href: '/agents', label: 'Agents', icon: Bot, isPrimary: true },
  { href: '/sessions', label: 'Sessions', icon: KeyRound, isPrimary: false },
  { href: '/activity', label: 'Activity', icon: ListTree, isPrimary: true },
  { href: '/settings', label: 'Settings', icon: Settings, isPrimary: false },
]

/** Home is current only on itself; the others also on the pages below them. */
export function isCurrent(href: string, pathname: string): boolean {
  return href === '/' ? pathname === '/' : pathname === href || pathname.startsWith(`${href}/`)
}
