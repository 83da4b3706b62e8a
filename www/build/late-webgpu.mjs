// The WebGPU core of a page that was built before that core: the files for which `lateWebgpu` of the page's build looks in `core/`.
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Writes a script in the core's place that fails with `reason`, which the page shows to a visitor who chooses WebGPU. */
export function explainAbsence(dist, reason) {
  put(dist, 'webgpu.js', (file) => writeFileSync(file, `throw new Error(${JSON.stringify(reason)});\n`));
}

/** Copies the core of a package beside the built page: a page that is loaded from then on can use it. */
export function putCore(dist, packageFolder) {
  // The script comes last, because it is what the page waits for.
  for (const name of ['webgpu.wasm', 'webgpu.js'])
    put(dist, name, (file) => copyFileSync(path.join(packageFolder, 'core', name), file));
}

/** Writes a file under another name first and renames it: the server must not read half of it. */
function put(dist, name, write) {
  const file = path.join(dist, 'core', name);
  mkdirSync(path.dirname(file), { recursive: true });
  write(`${file}.part`);
  renameSync(`${file}.part`, file);
}
