/** Reads and writes safetensors files, also broken ones. */
export function parse(bytes) {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  return { header, data: bytes.subarray(8 + length) };
}

/** `header` as an object or as text; `length` lies about the header's length. */
export function write({ header, data, length }) {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** The file with `edit(header)` applied to its header. */
export function withHeader(bytes, edit) {
  const { header, data } = parse(bytes);
  edit(header);
  return write({ header, data });
}
