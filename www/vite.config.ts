import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { lateWebgpu } from './build/late-webgpu-plugin.ts';
import { serviceWorker } from './build/service-worker-plugin.ts';
import { tinyClip } from './build/tiny-clip-plugin.ts';

/** Settings without the warning about slow plugins, which each build on a busy machine would print. */
const QUIET = { checks: { pluginTimings: false } };

export default defineConfig(({ mode }) => ({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [
    react(),
    tinyClip(fileURLToPath(new URL('../weights/tiny-clip', import.meta.url))),
    serviceWorker(),
    mode === 'late-webgpu' && lateWebgpu(),
  ],
  worker: { plugins: () => [mode === 'late-webgpu' && lateWebgpu()], rolldownOptions: QUIET },
  build: {
    rolldownOptions: QUIET,
    outDir: 'dist',
    emptyOutDir: true,
    // The page needs WebAssembly SIMD, which no older browser has.
    target: 'es2022',
    // The generator's weights are a script of 1.2 MB, which only the page of the digits loads.
    chunkSizeWarningLimit: 1300,
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
  },
}));
