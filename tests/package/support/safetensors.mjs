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

/** Returns a file with an additional tensor of `extra` bytes, which no model needs, in front of the others. */
export function behind(bytes, extra) {
  const { header, data } = parse(bytes);
  for (const [name, { data_offsets: offsets }] of Object.entries(header))
    if (name !== '__metadata__') header[name].data_offsets = offsets.map((offset) => offset + extra);
  header.extra = { dtype: 'F32', shape: [extra / 4], data_offsets: [0, extra] };
  const all = new Uint8Array(extra + data.length);
  all.set(data, extra);
  return write({ header, data: all });
}

/** Two shards, cut before the first tensor whose name starts with `cutAt`, as the hub has large checkpoints. */
export function sharded(files, cutAt) {
  const { header, data } = parse(files['model.safetensors']);
  const names = Object.keys(header);
  const cut = names.findIndex((name) => name.startsWith(cutAt));
  const weight_map = {};
  const made = {};
  for (const [number, list] of [names.slice(0, cut), names.slice(cut)].entries()) {
    const file = `model-0000${number + 1}-of-00002.safetensors`;
    const from = header[list[0]].data_offsets[0];
    const part = Object.fromEntries(
      list.map((name) => [
        name,
        { ...header[name], data_offsets: header[name].data_offsets.map((offset) => offset - from) },
      ]),
    );
    made[file] = write({ header: part, data: data.slice(from, header[list.at(-1)].data_offsets[1]) });
    for (const name of list) weight_map[name] = file;
  }
  const { 'model.safetensors': _, ...others } = files;
  const index = JSON.stringify({ metadata: {}, weight_map });
  return { ...others, ...made, 'model.safetensors.index.json': new TextEncoder().encode(index) };
}
