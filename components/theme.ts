/** The explicit choice of a theme, shared by the toggle that writes the cookie and the layout that reads it. */
export type Theme = 'system' | 'light' | 'dark'

export const themeCookie = 'pc_theme'

export function isTheme(value: unknown): value is Theme {
  return value === 'system' || value === 'light' || value === 'dark'
}
