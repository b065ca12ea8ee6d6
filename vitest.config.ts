import path from 'node:path'

import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { alias: { '@': path.resolve(import.meta.dirname) } },
  test: {
    include: ['{lib,gateway,workers,cli,wiring,sandbox,launcher,app,bench}/**/*.test.{ts,tsx}', 'e2e/**/*.test.ts'],
    exclude: ['node_modules/**', '.next/**', '.build/**'],
    globalSetup: ['lib/testing/global-setup.ts'],
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    restoreMocks: true,
  },
})
