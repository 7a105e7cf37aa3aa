import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The server embeds `dist` and sends a Content-Security-Policy without 'unsafe-inline', so nothing may be inlined:
// no assets as data: URLs and no module-preload helper script in the page.
export default defineConfig(({ mode }) => ({
  plugins: [svelte()],
  define: { __FAKE__: JSON.stringify(mode === 'fake' || mode === 'test') },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    chunkSizeWarningLimit: 700,
  },
  resolve: mode === 'test' ? { conditions: ['browser'] } : {},
  server: {
    host: '127.0.0.1',
    port: 5173,
    strictPort: false,
  },
  test: {
    environment: 'happy-dom',
    include: ['tests/**/*.test.ts'],
  },
}));
