import { toPilotlightError } from '../error.js';

/** The functions of the module of `images/src/exports.rs`, where they are described. */
interface Decoder {
  readonly memory: WebAssembly.Memory;
  reserve(bytes: number): number;
  decode(): number;
  output(): number;
  length(): number;
  width(): number;
}

/** Pixels of three bytes each, or the reason why a file could not be decoded. */
export type Decoded =
  | { data: Uint8Array; width: number; height: number }
  | { code: 'INVALID_INPUT' | 'RESOURCE_LIMIT' | 'INTERNAL'; message: string };

/** Decodes an image file. It rejects where the code cannot be had. */
export type DecodeImage = (file: Uint8Array) => Promise<Decoded>;

/** The codes by the numbers that the module returns. */
const CODES = [undefined, 'INVALID_INPUT', 'RESOURCE_LIMIT', 'INTERNAL'] as const;

/** Linear memory never shrinks; an instance that has more bytes than this after an image is given up. */
const MOST_KEPT = 64 * 2 ** 20;

/** The running decoders of this thread. */
let running: Decoder | undefined;

/** The sources of code of the functions that `decodeWith` has made. */
const sources = new WeakMap<object, () => Promise<unknown>>();

/** Makes a function that decodes on the calling thread. `module` returns the code; it is called with the first file. */
export function decodeWith(module: () => Promise<unknown>): DecodeImage {
  const decode: DecodeImage = async (file) => {
    if (!running) {
      const code = (await module()) as WebAssembly.Module;
      try {
        const { exports } = await WebAssembly.instantiate(code);
        // Another call may have started them meanwhile.
        running ??= exports as unknown as Decoder;
      } catch (error) {
        return failure(error, 'the image decoders could not be started');
      }
    }
    return decodeIn(running, file);
  };
  sources.set(decode, module);
  return decode;
}

/** The source of the code of a function of `decodeWith`; a worker decodes with the same code on its own thread. */
export const sourceOfDecoder = (decode: object): (() => Promise<unknown>) | undefined => sources.get(decode);

function decodeIn(decoder: Decoder, file: Uint8Array): Decoded {
  const { memory } = decoder;
  try {
    const place = decoder.reserve(file.length) >>> 0;
    if (place === 0) {
      return { code: 'RESOURCE_LIMIT', message: `there is no memory for the ${file.length} bytes of the image` };
    }
    new Uint8Array(memory.buffer, place, file.length).set(file);
    const code = CODES[decoder.decode()];
    const output = new Uint8Array(memory.buffer, decoder.output() >>> 0, decoder.length() >>> 0);
    if (code) return { code, message: new TextDecoder().decode(output) };
    const width = decoder.width() >>> 0;
    return { data: output.slice(), width, height: output.length / 3 / width };
  } catch (error) {
    running = undefined;
    return failure(error, 'the image could not be decoded');
  } finally {
    if (memory.buffer.byteLength > MOST_KEPT) running = undefined;
  }
}

/** Makes the result of a failure. A trap or code that does not fit is a defect; engines have different errors where there is no memory. */
function failure(error: unknown, what: string): Decoded {
  const { LinkError, RuntimeError } = WebAssembly;
  const code = error instanceof RuntimeError || error instanceof LinkError ? 'INTERNAL' : 'RESOURCE_LIMIT';
  return { code, message: `${what}: ${toPilotlightError(error).message}` };
}
