/**
 * Writes grey images as PNG files. The package has the same for digits that it has drawn itself, but those of an upstream come as pixels, and
 * a bundle for models of text has no generator of digits.
 */
import { crc32, joined } from '../bytes.ts';

/** An image of cells side by side: white ink on black, as in MNIST. */
export async function pngOf(cells: Uint8Array, size: number, columns: number): Promise<Uint8Array<ArrayBuffer>> {
  const area = size * size;
  const count = cells.length / area;
  const rows = Math.ceil(count / columns);
  const width = columns * size;
  // Each line begins with the number of its filter, which is 0: none.
  const lines = new Uint8Array(rows * size * (width + 1));
  for (let cell = 0; cell < count; cell += 1) {
    const [top, left] = [Math.floor(cell / columns) * size, (cell % columns) * size];
    for (let y = 0; y < size; y += 1)
      lines.set(
        cells.subarray(cell * area + y * size, cell * area + (y + 1) * size),
        (top + y) * (width + 1) + 1 + left,
      );
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, rows * size);
  // 8 bits of grey.
  header[8] = 8;
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const parts = [
    signature,
    chunk('IHDR', header),
    chunk('IDAT', await deflated(lines)),
    chunk('IEND', new Uint8Array()),
  ];
  return joined(
    parts,
    parts.reduce((sum, { length }) => sum + length, 0),
  );
}

async function deflated(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}
