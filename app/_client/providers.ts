/**
 * What the pages know about providers without asking: words, signs, and whose a tool is. A provider that an operator
 * declared is known by its own name alone.
 *
 * @module
 */
import { displayNameOf, FACES } from '@/lib/providers/catalog/faces'

/** The provider's name for people. */
export function providerName(provider: string): string {
  return displayNameOf(provider)
}

/** The provider a tool belongs to, by the first word of its name. */
export function providerOfTool(tool: string): string | undefined {
  const prefix = tool.split('_', 1)[0] ?? ''
  return FACES.find((face) => face.toolPrefixes.some((one) => one === prefix))?.name
}

/** What an account there is for, in three words. */
export function providerSummary(provider: string): string | undefined {
  return FACES.find((face) => face.name === provider)?.summary
}
