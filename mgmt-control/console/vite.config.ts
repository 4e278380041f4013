import react from '@vitejs/plugin-react';
import { loadEnv } from 'vite';
import { defineConfig } from 'vitest/config';

export default defineConfig(({ mode }) => {
  // Where a controller's people's door answers; its API is passed on to it, so that the page and
  // the API have one origin while developing, as they have when the controller serves both.
  const { GRIDMART_URL: controller = 'http://127.0.0.1:7700' } = loadEnv(mode, '.', 'GRIDMART_');
  const proxy = { '/api': { target: controller } };
  return {
    plugins: [react()],
    server: { port: 5173, proxy },
    preview: { port: 4173, proxy },
    build: {
      target: 'es2022',
      // Data addresses would ask for a wider Content-Security-Policy than files do.
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 800,
      modulePreload: { polyfill: false },
      rollupOptions: {
        output: {
          manualChunks: (id) => {
            if (!id.includes('node_modules')) return undefined;
            // What one page alone needs comes with that page.
            if (/uplot|d3-|codemirror|lezer|style-mod|crelt|w3c-keyname/.test(id)) return undefined;
            return 'library';
          },
        },
      },
    },
    test: { include: ['src/**/*.test.{ts,tsx}'] },
  };
});
