import type { NextConfig } from 'next'

/** The pages' server sits behind the gateway and does nothing on its own: no image fetching, no rewrites, no telling headers. */
const config: NextConfig = {
  poweredByHeader: false,
  reactStrictMode: true,
  productionBrowserSourceMaps: false,
  // The optimizer is an endpoint that fetches and decodes; nothing here needs it.
  images: { unoptimized: true },
  // A redirect would be computed from the Host header; the routes simply have no trailing slash.
  skipTrailingSlashRedirect: true,
  // Loaded from node_modules at run time: they are CommonJS with native or generated parts.
  serverExternalPackages: ['pg', '@prisma/client', '@prisma/adapter-pg'],
  // Types and lint are checked by the test run, over the whole project and with the same settings.
  typescript: { ignoreBuildErrors: true },
}

export default config
