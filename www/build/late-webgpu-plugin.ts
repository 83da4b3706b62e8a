import type { Plugin } from 'vite';

/** The places where the package names the two files of the WebGPU core, and what the page has instead. */
const PLACES = [
  [
    'import("./core/webgpu.js")',
    'import(/* @vite-ignore */ new URL(/* @vite-ignore */ "../core/webgpu.js", import.meta.url).href)',
  ],
  [
    'new URL("./core/webgpu.wasm", import.meta.url)',
    'new URL(/* @vite-ignore */ "../core/webgpu.wasm", import.meta.url)',
  ],
] as const;

/** Makes the page look for the WebGPU core in `core/` when it needs it, so that the page can be built before that core is. */
export function lateWebgpu(): Plugin {
  return {
    name: 'late-webgpu',
    apply: 'build',
    enforce: 'pre',
    transform: {
      filter: { id: /\/pilotlight\/web\.js$/ },
      handler(code) {
        return PLACES.reduce((text, [from, to]) => {
          const parts = text.split(from);
          if (parts.length !== 2)
            this.error(`web.js of the package: expected this text once, found it ${parts.length - 1} times: ${from}`);
          return parts.join(to);
        }, code);
      },
    },
  };
}
