import { PilotlightError, toPilotlightError } from '../error.js';
import { has } from '../inputs/foreign.js';
import type { WasmSource } from './glue.js';

/** A file of WebAssembly code. */
export interface WasmFile {
  /** The name for messages, for example `core/simd.wasm`. */
  readonly name: string;
  wasm(): WasmSource | Promise<WasmSource>;
  /** A sentence for messages: the remedy if the file is not at the expected place. */
  readonly missing?: string;
}

/**
 * Gets the code of a file, or what the program gave in its place.
 * @throws {PilotlightError} `FETCH_FAILED`
 */
export async function wasmOf(
  { name, wasm, missing }: WasmFile,
  override: WasmSource | Promise<WasmSource> | undefined,
): Promise<WasmSource> {
  // Bundlers have nothing to do with a source that the program itself gave.
  const advice = missing && override === undefined ? `. ${missing}` : '';
  let source: WasmSource;
  let found = false;
  try {
    const promise = override ?? wasm();
    found = true;
    source = await promise;
  } catch (error) {
    if (error instanceof PilotlightError) throw error;
    const { message } = toPilotlightError(error);
    // Without a network the file may well be in its place.
    throw new PilotlightError('FETCH_FAILED', `${name}: ${message}${found ? '' : advice}`, error);
  }
  const response = responseOf(source);
  if (response && !response.ok) {
    const { status, url } = response;
    const message = `${name}: the host answered ${status} for ${url}${advice}`;
    throw new PilotlightError('FETCH_FAILED', message, undefined, { status, reason: 'status' });
  }
  if (response?.headers?.get('content-type')?.startsWith('text/html')) {
    const message = `${name}: the host answered with a web page for ${response.url}${advice}`;
    throw new PilotlightError('FETCH_FAILED', message, undefined, { reason: 'html' });
  }
  return source;
}

/** The source where it is a `Response`; some servers replace the global class of that name. */
export const responseOf = (source: WasmSource): Response | undefined =>
  has(source, 'arrayBuffer') ? (source as Response) : undefined;
