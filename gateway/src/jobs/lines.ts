/** Lines of a stream of bytes, with the place where each is. */
import { joined } from '../bytes.ts';

export interface Line {
  /** Without its line feed. */
  bytes: Uint8Array;
  /** The byte of the stream where it begins, and the one after its line feed. */
  start: number;
  end: number;
  /** From 1 on. */
  number: number;
}

export class LineTooLong extends Error {
  override readonly name = 'LineTooLong';
  readonly line: number;

  constructor(line: number, max: number) {
    super(`line ${line}: longer than ${max} bytes`);
    this.line = line;
  }
}

const FEED = 10;

/** Reads lines; whoever stops early cancels the stream. `offset` and `number` say where the stream begins in its file. */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
  { max, offset = 0, number = 1 }: { max: number; offset?: number; number?: number },
): AsyncGenerator<Line> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let start = offset;
  const line = (end: number, feed: number): Line => {
    const bytes = held.length === 1 ? (held[0] as Uint8Array) : joined(held, heldBytes);
    const made = { bytes, start, end: end + feed, number };
    held = [];
    heldBytes = 0;
    start = end + feed;
    number += 1;
    return made;
  };
  const hold = (piece: Uint8Array): void => {
    heldBytes += piece.length;
    if (heldBytes > max) throw new LineTooLong(number, max);
    held.push(piece);
  };
  let at = offset;
  for await (const piece of stream) {
    let from = 0;
    for (let feed = piece.indexOf(FEED); feed !== -1; feed = piece.indexOf(FEED, from)) {
      hold(piece.subarray(from, feed));
      yield line(at + feed, 1);
      from = feed + 1;
    }
    if (from < piece.length) hold(piece.subarray(from));
    at += piece.length;
  }
  if (heldBytes > 0) yield line(at, 0);
}

/** Whether a line has nothing but white space. */
export function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13);
}
