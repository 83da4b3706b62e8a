/** Imports the script of the WebGPU core, which programs outside of browsers load where they ask for a GPU. */
export declare const glue: () => Promise<unknown>;

/** The address of that core. */
export declare const wasm: URL;
