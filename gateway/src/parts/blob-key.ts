/** The names of objects, which are checked before they become a path or an address. */
import type { BlobBody, PutOptions } from '../host.ts';
import { GatewayError } from '../http/errors.ts';

const SEGMENT = /^[\w.-]+$/;

/**
 * Refuses names that are not plain: those with `..`, an empty segment, a leading `/`, or any other character.
 * @throws {GatewayError} `invalid_request`
 */
export function checkKey(key: string): void {
  const plain =
    key.length <= 512 &&
    key.split('/').every((segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..');
  if (!plain) {
    throw new GatewayError(
      'invalid_request',
      `${JSON.stringify(key.slice(0, 80))} is no name of an object: letters, digits, ".", "_", "-" and "/" are, up to 512 of them`,
    );
  }
}

/**
 * Checks the arguments of a put, and returns the bytes of the object.
 * @throws {GatewayError} `invalid_request` where the name is not plain
 */
export function checkPut(key: string, body: BlobBody, { size }: PutOptions): number {
  checkKey(key);
  if (body instanceof Uint8Array) return body.length;
  if (size === undefined) throw new TypeError('size: the number of bytes of a stream');
  return size;
}

/** Passes a stream on, and fails where it does not have exactly `size` bytes. */
export async function* exactly(stream: ReadableStream<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const piece of stream) {
    seen += piece.length;
    if (seen > size) break;
    yield piece;
  }
  if (seen !== size)
    throw new RangeError(`the stream has ${seen > size ? 'more' : 'fewer'} bytes than the ${size} announced`);
}

/** A stream of the bytes. */
export function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}
