import type { Plugin } from 'vite';

const GLUE = 'new URL(/* @vite-ignore */ "../core/webgpu.js", import.meta.url)';
const WASM = [
  'new URL("./core/webgpu.wasm", import.meta.url)',
  'new URL(/* @vite-ignore */ "../core/webgpu.wasm", import.meta.url)',
] as const;

/** A file of the core with threads, which is built with the WebGPU core. The page is not isolated, so that nothing looks for it. */
const threads = (file: string) =>
  [
    `new URL("./core/${file}", import.meta.url)`,
    `new URL(/* @vite-ignore */ "../core/${file}", import.meta.url)`,
  ] as const;

/** The places where scripts of the package name the files of cores that come later, each with its replacement in the page. */
const PLACES: Record<string, readonly (readonly [from: string, to: string])[]> = {
  'web.js': [
    ['import("./core/webgpu.js")', `import(/* @vite-ignore */ ${GLUE}.href)`],
    ['new URL("./core/webgpu.js", import.meta.url)', GLUE],
    WASM,
    threads('threads.js'),
  ],
  'worker.js': [WASM, threads('threads.wasm')],
};

/** Makes the page and its workers look for the WebGPU core in `core/` when they need it, so that the page can be built before that core is. */
export function lateWebgpu(): Plugin {
  return {
    name: 'late-webgpu',
    apply: 'build',
    enforce: 'pre',
    transform: {
      filter: { id: /\/pilotlight\/(?:web|worker)\.js$/ },
      handler(code, id) {
        const script = id.slice(id.lastIndexOf('/') + 1);
        return (PLACES[script] ?? []).reduce((text, [from, to]) => {
          const parts = text.split(from);
          if (parts.length !== 2)
            this.error(
              `${script} of the package: expected this text once, found it ${parts.length - 1} times: ${from}`,
            );
          return parts.join(to);
        }, code);
      },
    },
  };
}
