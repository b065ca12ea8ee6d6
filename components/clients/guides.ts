/**
 * Every client there is a guide for, in the order people look for them.
 *
 * @module
 */
import { bearer } from '@/components/clients/catalog/bearer'
import { chatgpt } from '@/components/clients/catalog/chatgpt'
import { claudeAi } from '@/components/clients/catalog/claude-ai'
import { claudeCode } from '@/components/clients/catalog/claude-code'
import { claudeDesktop } from '@/components/clients/catalog/claude-desktop'
import { codex } from '@/components/clients/catalog/codex'
import { cursor } from '@/components/clients/catalog/cursor'
import { geminiCli } from '@/components/clients/catalog/gemini-cli'
import { mcpRemote } from '@/components/clients/catalog/mcp-remote'
import { typescriptSdk } from '@/components/clients/catalog/typescript-sdk'
import { vsCode } from '@/components/clients/catalog/vs-code'
import { windsurf } from '@/components/clients/catalog/windsurf'
import type { ClientGuide, ClientTarget } from '@/components/clients/guide'

const catalog = [
  chatgpt,
  claudeAi,
  claudeDesktop,
  claudeCode,
  cursor,
  vsCode,
  windsurf,
  codex,
  geminiCli,
  mcpRemote,
  typescriptSdk,
  bearer,
]

export function clientGuides(target: ClientTarget): readonly ClientGuide[] {
  return catalog.map((guide) => guide(target))
}
