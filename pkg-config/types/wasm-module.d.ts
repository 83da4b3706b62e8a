/// <reference path="../platform.d.ts" />

/** Under workerd an import of a `.wasm` file is a compiled module; bundlers for browsers give a URL with their own suffix (`?url`). */
declare const module: WebAssembly.Module;
export default module;
