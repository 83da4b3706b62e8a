/**
 * Makes wasm-bindgen's glue survive a trap. Without this patch, a trap inside a Rust future is an uncaught exception of the host (Node
 * exits), the future's promise never settles, and timers and fetches of the trapped instance still call into it.
 * The pinned wasm-bindgen writes each replaced text a known number of times; a version with other texts fails the build here.
 */
export function patchGlue(glue, { threads = false, webgpu = false } = {}) {
  // These comments hold numbers of the compiler's functions, which differ between the two CPU builds.
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
  if (webgpu) patched = withForeignGpu(patched);
  if (threads) patched = withSharedMemory(patched);
  else {
    // The WebGPU core has constructors, which its linker leaves to the caller (`build.rs`).
    patched = replaceEach(
      patched,
      2,
      '    wasm.__wbindgen_start();',
      '    wasm.__wasm_call_ctors?.();\n    wasm.__wbindgen_start();',
    );
  }
  return `${patched}
let trapListener = () => {};

/** The code that this core runs, compiled; undefined before it is started. */
export function compiledModule() {
    return wasmModule;
}

/** Sets the listener for traps. */
export function onTrap(listener) {
    trapListener = listener;
}

/** Reports a trap to the listener and disables the callbacks that the trapped instance has registered. */
export function trapped(error) {
    __wbg_instance_id++;
    trapListener(error);
}
`;
}

/**
 * Makes the memory as large as it may grow on this device, which reserves addresses for all of a shared memory, and lends it to other threads.
 * Browsers fill no shared memory with random values: those are copied.
 */
function withSharedMemory(glue) {
  const made = /memory \|\| new WebAssembly\.Memory\(\{initial:(\d+),maximum:65536,shared:true\}\)/g;
  const [found, ...others] = glue.matchAll(made);
  if (!found || others.length > 0) throw new Error("wasm-bindgen's glue: expected to find one shared memory");
  const [text, initial] = found;
  const filled = replaceOnce(
    glue.replace(text, 'memory || makeMemory()'),
    'globalThis.crypto.getRandomValues(getArrayU8FromWasm0(arg0, arg1));',
    'getArrayU8FromWasm0(arg0, arg1).set(globalThis.crypto.getRandomValues(new Uint8Array(arg1)));',
  );
  return `${filled}
function makeMemory() {
    for (let maximum = 65536; ; maximum /= 2) {
        try {
            return new WebAssembly.Memory({ initial: ${initial}, maximum, shared: true });
        } catch (error) {
            if (maximum <= 8192) throw error;
        }
    }
}

/** The memory, which further threads are started with. */
export function sharedMemory() {
    return wasm.memory;
}
`;
}

/** Lets a program give a GPU where no global object has one: in Node, whose `navigator` has none and which is neither a page nor a worker. */
function withForeignGpu(glue) {
  const classes = [...new Set([...glue.matchAll(/instanceof (GPU\w+)/g)].map(([, name]) => name))].join(', ');
  let patched = replaceOnce(glue, 'const ret = arg0.gpu;', 'const ret = givenGpu ?? arg0.gpu;');
  patched = replaceOnce(patched, 'const ret = arg0.Window;', 'const ret = givenGpu ? Object : arg0.Window;');
  patched = replaceEach(patched, 2, 'const ret = arg0.navigator;', 'const ret = arg0.navigator ?? {};');
  return `let { ${classes} } = globalThis;
let givenGpu;

/** Takes the GPU that is used in place of the one of \`navigator\`, and the classes of its errors. */
export function giveGpu(gpu, classes) {
    givenGpu = gpu;
    ({ ${classes} } = classes);
}

${patched}`;
}

function patchClosure(glue, name) {
  const start = glue.indexOf(`function ${name}(`);
  const end = glue.indexOf('\n}\n', start);
  let body = glue.slice(start, end);
  body = replaceOnce(body, "throw new Error('Cannot invoke closure from previous WASM instance');", 'return;');
  // Rust's closures return errors as values, so an exception that passes through one is a trap, and Rust's state is undefined after it.
  body = replaceOnce(
    body,
    '} finally {',
    `} catch (error) {\n            trapped(error);\n        } finally {\n            if (state.instance !== __wbg_instance_id) return;`,
  );
  return glue.slice(0, start) + body + glue.slice(end);
}

const replaceOnce = (text, from, to) => replaceEach(text, 1, from, to);

function replaceEach(text, times, from, to) {
  const found = text.split(from).length - 1;
  if (found !== times)
    throw new Error(`wasm-bindgen's glue: expected this text ${times} times, found it ${found} times: ${from}`);
  return text.replaceAll(from, () => to);
}
