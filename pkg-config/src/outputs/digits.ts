import type * as Api from '../../types/index.js';
import { PilotlightError } from '../error.js';
import { pngOf } from './png.js';

/** The width and height of a digit in pixels. */
const EDGE = 28;
const PIXELS = EDGE * EDGE;

/** One grey image of any size. Its name is that of the published type. */
class Picture implements Api.Picture {
  readonly data: Uint8Array;
  readonly dims: [number, number];

  constructor(data: Uint8Array, dims: [number, number]) {
    this.data = data;
    this.dims = dims;
  }

  toImageData(): ImageData {
    if (typeof ImageData !== 'function') {
      throw new PilotlightError(
        'BACKEND_UNAVAILABLE',
        'ImageData does not exist in this runtime; take data, or toBlob()',
      );
    }
    const [height, width] = this.dims;
    const image = new ImageData(width, height);
    for (const [i, grey] of this.data.entries()) image.data.set([grey, grey, grey, 255], 4 * i);
    return image;
  }

  toBlob(): Promise<Blob> {
    return pngOf(this.data, this.dims);
  }
}

/** The properties of `Digits` beside the pixels. */
export interface Drawn {
  digits: number[];
  seed: number;
  /** The default number of columns of a grid. */
  columns: number;
}

/** Drawn digits. */
export class Digits implements Api.Digits {
  readonly data: Uint8Array;
  readonly dims: [number, number, number];
  readonly digits: number[];
  readonly seed: number;
  readonly #columns: number;

  constructor(data: Uint8Array, { digits, seed, columns }: Drawn) {
    this.data = data;
    this.dims = [digits.length, EDGE, EDGE];
    this.digits = digits;
    this.seed = seed;
    this.#columns = columns;
  }

  toImageData(index = 0): ImageData {
    return this.#digit(index).toImageData();
  }

  async toBlob(index = 0): Promise<Blob> {
    return this.#digit(index).toBlob();
  }

  toGrid(columns = this.#columns): Picture {
    if (!Number.isInteger(columns) || columns < 1 || columns > this.digits.length) {
      throw new PilotlightError(
        'INVALID_INPUT',
        `columns: expected a whole number from 1 to ${this.digits.length}, got ${String(columns)}`,
      );
    }
    const width = columns * EDGE;
    const height = Math.ceil(this.digits.length / columns) * EDGE;
    const data = new Uint8Array(width * height);
    for (let row = 0; row < this.digits.length * EDGE; row += 1) {
      const [index, y] = [Math.floor(row / EDGE), row % EDGE];
      const at = (Math.floor(index / columns) * EDGE + y) * width + (index % columns) * EDGE;
      data.set(this.data.subarray(row * EDGE, (row + 1) * EDGE), at);
    }
    return new Picture(data, [height, width]);
  }

  #digit(index: number): Picture {
    if (!Number.isInteger(index) || index < 0 || index >= this.digits.length) {
      throw new PilotlightError(
        'INVALID_INPUT',
        `index: expected a whole number from 0 to ${this.digits.length - 1}, got ${String(index)}`,
      );
    }
    return new Picture(this.data.subarray(index * PIXELS, (index + 1) * PIXELS), [EDGE, EDGE]);
  }
}
