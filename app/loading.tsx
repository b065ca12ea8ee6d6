import { BrandMark } from '@/components/shell/brand'

export default function LoadingPage() {
  return (
    <main id="main" role="status" aria-label="Loading" className="grid min-h-dvh place-items-center">
      <BrandMark className="size-10 motion-safe:animate-breathe" />
    </main>
  )
}
