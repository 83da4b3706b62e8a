/**
 * Makes wasm-bindgen's glue survive a trap. As it comes, a trap inside a Rust future is an uncaught exception of the host (Node ends),
 * the future's promise never settles, and timers and fetches of the dead instance go on calling into it.
 * The pinned wasm-bindgen writes these texts exactly once; a version that writes others fails the build here.
 */
export function patchGlue(glue) {
  // These comments number the compiler's functions, and are all in which the glue of two CPU builds may differ.
  let patched = glue.replace(/^ *\/\/ Cast intrinsic for .*\n/gm, '');
  for (const name of ['makeMutClosure', 'makeClosure']) {
    if (patched.includes(`function ${name}(`)) patched = patchClosure(patched, name);
  }
  // Browsers refuse to instantiate 8 MB and more synchronously on a page's main thread.
  patched = replaceOnce(
    patched,
    'export function __wbg_reset_state () {',
    'export async function __wbg_reset_state () {\n    const fresh = await WebAssembly.instantiate(wasmModule, __wbg_get_imports());',
  );
  patched = replaceOnce(
    patched,
    'wasmInstance = new WebAssembly.Instance(wasmModule, __wbg_get_imports());',
    'wasmInstance = fresh;',
  );
  return `${patched}
let trapListener = () => {};

/** Sets who hears of a trap. */
export function onTrap(listener) {
    trapListener = listener;
}

/** Cuts this instance off: callbacks that it left behind do nothing from now on. */
export function trapped(error) {
    __wbg_instance_id++;
    trapListener(error);
}
`;
}

function patchClosure(glue, name) {
  const start = glue.indexOf(`function ${name}(`);
  const end = glue.indexOf('\n}\n', start);
  let body = glue.slice(start, end);
  body = replaceOnce(body, "throw new Error('Cannot invoke closure from previous WASM instance');", 'return;');
  // Rust's closures return errors as values: whatever is thrown through one has left Rust's state undefined.
  body = replaceOnce(
    body,
    '} finally {',
    `} catch (error) {\n            trapped(error);\n        } finally {\n            if (state.instance !== __wbg_instance_id) return;`,
  );
  return glue.slice(0, start) + body + glue.slice(end);
}

function replaceOnce(text, from, to) {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`the glue holds ${parts.length - 1} times, not once: ${from}`);
  return parts.join(to);
}
