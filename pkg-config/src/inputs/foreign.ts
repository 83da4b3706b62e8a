/** What something is, also where it comes from another realm, whose classes are not this one's. */
export const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** Whether a value has bytes, of any realm. */
export const isBytes = (value: unknown): value is ArrayBufferLike | ArrayBufferView =>
  ArrayBuffer.isView(value) || ['ArrayBuffer', 'SharedArrayBuffer'].includes(tagOf(value));

/**
 * This realm's view of bytes of any realm; `undefined` where the value has none.
 * @throws {TypeError} where its buffer was transferred away
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return isBytes(value) ? new Uint8Array(value as ArrayBufferLike) : undefined;
}

/** This realm's view of a `Float32Array` of any realm; `undefined` where the value is none. */
export function floatsOf(value: unknown): Float32Array | undefined {
  if (value instanceof Float32Array) return value;
  if (!ArrayBuffer.isView(value) || tagOf(value) !== 'Float32Array') return undefined;
  return new Float32Array(value.buffer, value.byteOffset, value.byteLength / Float32Array.BYTES_PER_ELEMENT);
}

/** Whether a value has a method of this name. */
export function has<Name extends PropertyKey>(
  value: unknown,
  name: Name,
): value is Record<Name, (...args: never[]) => unknown> {
  return value !== undefined && value !== null && typeof (value as Record<Name, unknown>)[name] === 'function';
}

/** What a value is, for messages: never its content, which may be private. */
export const kindOf = (value: unknown): string =>
  value === null ? 'null' : typeof value === 'object' ? tagOf(value) : typeof value;
