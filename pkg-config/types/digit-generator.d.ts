import type { BackendReport, Device, FileSource, LoadProgress } from './index.js';

export interface DigitLoadOptions {
  /** The device; default `'cpu'`, which `'auto'` takes too, because it draws a digit in less time than the WebGPU code takes to download. */
  device?: Device;
  /** Own weights, as `make train-digits` writes them, instead of those in the package. */
  weights?: FileSource;
  /** Whether it draws in a worker of its own; as in `LoadOptions`. */
  worker?: 'auto' | boolean;
  /** Cancels the load; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  onProgress?: (event: LoadProgress) => void;
}

/** Options of drawing digits. */
export interface DrawOptions {
  /** The seed, 0 to 2^53 - 1: the same seed gives the same digits on the same backend and build. Default a fresh one, which the result has. */
  seed?: number;
  /** The number of steps, 1 to 100, each of which runs the network once; default 7. */
  steps?: number;
  /**
   * The guidance scale, 0 to 20: 1 draws digits as people write them, more makes them clearer and more alike. Default 1.75.
   * It acts while the digit takes shape, so not at all with one or two steps.
   */
  guidance?: number;
  /** Cancels within one step; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
  /** Called with the digits as they are after each step, from noise to digit; the last ones are the result. */
  onStep?: (step: DrawStep) => void;
}

export interface DrawStep {
  /** The number of the step, 1 to `steps`. */
  step: number;
  steps: number;
  digits: Digits;
}

/** The digits to draw, by exactly one of `digit`, `digits` and `text`, and options; 10,000 digits at most. */
export interface GenerateOptions extends DrawOptions {
  /** 0 to 9. */
  digit?: number;
  digits?: readonly number[];
  /** The digits of a number, such as `'2026'`. */
  text?: string;
  /** The number of times that all digits are drawn, each time in another handwriting; default 1. Digit `i` of a seed does not depend on it. */
  count?: number;
}

/** The digit with which a morph begins or ends. */
export interface MorphEnd {
  /** 0 to 9. */
  digit: number;
  /** The seed; default that of the other end, so that the handwriting stays the same. */
  seed?: number;
}

export interface MorphOptions extends DrawOptions {
  from: MorphEnd;
  to: MorphEnd;
  /** The number of digits, both ends included, 2 to 10,000; default 9. */
  count?: number;
}

/** One grey image, of drawn digits side by side. */
export interface Picture {
  /** The grey values, row by row: 0 is paper, 255 is ink. */
  readonly data: Uint8Array;
  /** The number of rows and of columns. */
  readonly dims: [number, number];
  /** Returns white ink on black. @throws {PilotlightError} `BACKEND_UNAVAILABLE` where there is no `ImageData` */
  toImageData(): ImageData;
  /** Returns a PNG file, in any runtime. It never throws. */
  toBlob(): Promise<Blob>;
}

/** Drawn digits. */
export interface Digits {
  /** The grey values, digit after digit, row by row: 0 is paper, 255 is ink, as in MNIST. The caller owns the memory. */
  readonly data: Uint8Array;
  /** The number of digits, rows and columns: `[n, 28, 28]`. */
  readonly dims: [number, number, number];
  /** The class that each digit was drawn for, 0 to 9; in a morph that of the nearer end. */
  readonly digits: number[];
  /** The seed, with which the same digits can be drawn again. */
  readonly seed: number;
  /** Returns one digit, white on black; default the first. @throws {PilotlightError} `INVALID_INPUT`, `BACKEND_UNAVAILABLE` where there is no `ImageData` */
  toImageData(index?: number): ImageData;
  /** Returns one digit as a PNG file; default the first. @throws {PilotlightError} `INVALID_INPUT` */
  toBlob(index?: number): Promise<Blob>;
  /** Returns all digits side by side; by default a list or text in one row, and a single digit's repetitions in a square. @throws {PilotlightError} `INVALID_INPUT` */
  toGrid(columns?: number): Picture;
}

/** Draws handwritten digits. Its weights are in the package: nothing is fetched from a model host. */
export declare class DigitGenerator {
  private constructor();
  /**
   * Loads the generator from the package's own files.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INVALID_WEIGHTS`, `RESOURCE_LIMIT`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(options?: DigitLoadOptions): Promise<DigitGenerator>;
  /**
   * Draws digits, in the order asked for. On the CPU it computes on the calling thread and yields to the event loop between layers.
   * Calls on one generator run one after another; one that is aborted while it waits rejects at once.
   * @throws {PilotlightError} `INVALID_INPUT` naming the option and its range, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  generate(options: GenerateOptions): Promise<Digits>;
  /** Draws evenly spaced digits on the way from one digit or seed to another. @throws {PilotlightError} as `generate` */
  morph(options: MorphOptions): Promise<Digits>;
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}
