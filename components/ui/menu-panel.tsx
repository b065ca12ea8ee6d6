'use client'

import Link from 'next/link'

import {
  DropdownMenu,
  DropdownMenuContent,
  DropdownMenuItem,
  DropdownMenuLabel,
  DropdownMenuRadioGroup,
  DropdownMenuRadioItem,
  DropdownMenuSeparator,
  DropdownMenuTrigger,
} from '@/components/ui/dropdown-menu'
import type { MenuEntry, MenuPanelProps } from '@/components/ui/menu-button'

/** The menu of a `MenuButton`, in its own chunk. */
export default function MenuPanel({ isOpen, onOpenChange, entries, side, button, buttonId }: MenuPanelProps) {
  return (
    <DropdownMenu open={isOpen} onOpenChange={onOpenChange}>
      {/* Only says where the menu goes: the button was there first. */}
      <DropdownMenuTrigger asChild>
        <span aria-hidden className="pointer-events-none absolute inset-0" />
      </DropdownMenuTrigger>
      <DropdownMenuContent
        side={side}
        align="start"
        className="w-56"
        aria-labelledby={buttonId}
        onCloseAutoFocus={(event) => {
          event.preventDefault()
          button.current?.focus()
        }}
      >
        {entries.map((entry, index) => (
          <Entry key={index} entry={entry} />
        ))}
      </DropdownMenuContent>
    </DropdownMenu>
  )
}

function Entry({ entry }: { entry: MenuEntry }) {
  switch (entry.kind) {
    case 'label':
      return <DropdownMenuLabel className="truncate">{entry.text}</DropdownMenuLabel>
    case 'separator':
      return <DropdownMenuSeparator />
    case 'link':
      return (
        <DropdownMenuItem asChild>
          <Link href={entry.href}>
            <entry.icon aria-hidden /> {entry.text}
          </Link>
        </DropdownMenuItem>
      )
    case 'action':
      return (
        <DropdownMenuItem onSelect={entry.onSelect}>
          <entry.icon aria-hidden /> {entry.text}
        </DropdownMenuItem>
      )
    case 'choice':
      return (
        <DropdownMenuRadioGroup value={entry.value} onValueChange={entry.onChoose}>
          {entry.choices.map(({ value, text }) => (
            <DropdownMenuRadioItem key={value} value={value}>
              {text}
            </DropdownMenuRadioItem>
          ))}
        </DropdownMenuRadioGroup>
      )
  }
}
