/**
 * What keeps people from using a page, found in the page itself: controls without a name, text without contrast, headings
 * out of order, what hangs over the edge. A small part of WCAG 2.2, the part that breaks unnoticed.
 *
 * @module
 */
import type { CDPSession, Page } from '@playwright/test'

/**
 * @param own  a session of the page that is there already: the end of any session ends a page's virtual authenticators
 * @returns one sentence for each barrier; none for a page without
 */
export async function barriersOf(page: Page, own?: CDPSession): Promise<string[]> {
  await page.waitForFunction(isAllThere)
  const nameless = await namelessControls(page, own)
  return [...nameless, ...(await page.evaluate(findBarriers))]
}

const CONTROLS = new Set(['button', 'link', 'textbox', 'combobox', 'checkbox', 'radio', 'switch', 'tab', 'menuitem'])

/** As the browser tells assistive technology: 4.1.2. */
async function namelessControls(page: Page, own: CDPSession | undefined): Promise<string[]> {
  const session = own ?? (await page.context().newCDPSession(page))
  try {
    const { nodes } = await session.send('Accessibility.getFullAXTree')
    return nodes
      .filter((node) => !node.ignored && CONTROLS.has(String(node.role?.value)))
      .filter((node) => String(node.name?.value ?? '').trim() === '')
      .map((node) => `a ${String(node.role?.value)} has no name`)
  } finally {
    if (own === undefined) await session.detach()
  }
}

/** What React has streamed and not put in its place yet is there twice for a moment. Runs in the page. */
const isAllThere = () => document.querySelector('[hidden][id^="S:"],template[id^="B:"]') === null

/** Runs in the page: it may use nothing from outside itself. */
function findBarriers(): string[] {
  const found: string[] = []
  const words = (element: Element) => `“${element.textContent.trim().slice(0, 40)}”`
  const isShown = (element: Element) =>
    element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && element.getClientRects().length > 0

  if (document.documentElement.lang === '') found.push('the page names no language')
  if (document.title.trim() === '') found.push('the page has no title')
  if (document.querySelectorAll('main').length !== 1) found.push('there is not exactly one main')
  if (document.querySelectorAll('h1').length !== 1) found.push('there is not exactly one first heading')

  const ids = new Set<string>()
  for (const { id } of document.querySelectorAll('[id]')) {
    if (ids.has(id)) found.push(`the id ${id} is there twice`)
    ids.add(id)
  }
  for (const element of document.querySelectorAll('[aria-labelledby],[aria-describedby],[aria-controls]'))
    for (const attribute of ['aria-labelledby', 'aria-describedby', 'aria-controls'] as const)
      for (const id of (element.getAttribute(attribute) ?? '').split(/\s+/).filter((one) => one !== ''))
        if (
          document.getElementById(id) === null &&
          !(attribute === 'aria-controls' && element.ariaExpanded === 'false')
        )
          found.push(`${attribute} of ${words(element)} points at nothing`)
  for (const image of document.querySelectorAll('img'))
    if (!image.hasAttribute('alt')) found.push(`an image has no alternative: ${image.src.slice(-40)}`)

  let level = 0
  for (const heading of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) {
    if (!isShown(heading)) continue
    const own = Number(heading.tagName.slice(1))
    if (own > level + 1) found.push(`heading ${words(heading)} jumps from level ${level} to ${own}`)
    level = own
  }

  // 1.4.10: nothing scrolls sideways.
  const { scrollWidth, clientWidth } = document.documentElement
  if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth - clientWidth} px wider than the window`)

  // 2.5.8: 24 by 24, except a link in a sentence.
  for (const control of document.querySelectorAll('button,a[href],input,select,summary,[role=checkbox]')) {
    const box = control.getBoundingClientRect()
    const isInline = control.tagName === 'A' && getComputedStyle(control).display === 'inline'
    if (!isShown(control) || isInline || box.width <= 1 || control.closest('.sr-only') !== null) continue
    if (control.getAttribute('type') === 'hidden' || getComputedStyle(control).position === 'fixed') continue
    // What is pressed through its label is as large as that.
    const labels = control instanceof HTMLButtonElement || control instanceof HTMLInputElement ? control.labels : null
    const isLarge = [control, ...(labels ?? [])].some((one) => {
      const { width, height } = one.getBoundingClientRect()
      // What a control adds around itself is pressed as well.
      const { content, position, top, right, bottom, left } = getComputedStyle(one, '::after')
      const isWider = content !== 'none' && position === 'absolute'
      const [x, y] = isWider ? [parseFloat(left) + parseFloat(right), parseFloat(top) + parseFloat(bottom)] : [0, 0]
      return width - Math.min(0, x) >= 23.5 && height - Math.min(0, y) >= 23.5
    })
    if (!isLarge) found.push(`${words(control)} is only ${Math.round(box.width)} by ${Math.round(box.height)} px`)
  }

  // 1.4.3, for text on plain colours.
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = 1
  const pen = canvas.getContext('2d', { willReadFrequently: true })
  type Colour = readonly [number, number, number, number]
  const parse = (colour: string): Colour => {
    if (pen === null) return [0, 0, 0, 1]
    pen.clearRect(0, 0, 1, 1)
    pen.fillStyle = colour
    pen.fillRect(0, 0, 1, 1)
    const [r = 0, g = 0, b = 0, a = 0] = pen.getImageData(0, 0, 1, 1).data
    return [r, g, b, a / 255]
  }
  const over = (top: Colour, below: Colour): Colour => {
    const mix = (i: 0 | 1 | 2) => top[i] * top[3] + below[i] * (1 - top[3])
    return [mix(0), mix(1), mix(2), 1]
  }
  const luminance = ([r, g, b]: Colour) => {
    const channel = (value: number) =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const seen = new Set<Element>()
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement
    if (element === null || seen.has(element) || (node.textContent ?? '').trim() === '') continue
    seen.add(element)
    if (
      !isShown(element) ||
      element.closest('[aria-disabled=true],[aria-hidden=true],.sr-only,svg,script,style') !== null
    )
      continue
    const behind: Element[] = []
    let isPlain = true
    for (let one: Element | null = element; one !== null; one = one.parentElement) {
      const style = getComputedStyle(one)
      if (style.backgroundImage !== 'none' || Number(style.opacity) < 1) isPlain = false
      behind.unshift(one)
    }
    if (!isPlain) continue
    let ground: Colour = [255, 255, 255, 1]
    for (const one of behind) ground = over(parse(getComputedStyle(one).backgroundColor), ground)
    const style = getComputedStyle(element)
    const ink = over(parse(style.color), ground)
    const [light, dark] = [luminance(ink), luminance(ground)].sort((a, b) => b - a)
    const ratio = ((light ?? 0) + 0.05) / ((dark ?? 0) + 0.05)
    const size = Number.parseFloat(style.fontSize)
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
    if (ratio < (isLarge ? 3 : 4.5) - 0.01) found.push(`${words(element)} has a contrast of ${ratio.toFixed(2)}`)
  }
  return [...new Set(found)]
}
