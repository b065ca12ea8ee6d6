/** First stop of the tab key: past the navigation, to the page. */
export function SkipLink() {
  return (
    <a
      href="#main"
      className="fixed top-2 left-2 z-50 -translate-y-24 rounded-md bg-accent px-4 py-2.5 font-medium text-on-accent focus:translate-y-0"
    >
      Skip to content
    </a>
  )
}
