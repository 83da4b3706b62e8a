// Files of images that no painter would write.
import { crc32, deflateSync } from 'node:zlib';

/** Returns `count` zero bytes, compressed to a thousandth. */
export const zeros = (count) => deflateSync(Buffer.alloc(count), { level: 9 });

function chunk(kind, data) {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length);
  bytes.write(kind, 4, 'latin1');
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}

/** A PNG of 8 bits and three colours. `rows` are its rows, each after a zero; `idat` are they packed; `chunks` stand before them. */
export function png({ width, height, rows = new Uint8Array(1000), idat = deflateSync(rows), chunks = {} }) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const more = Object.entries(chunks).map(([kind, data]) => chunk(kind, data));
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', head),
    ...more,
    chunk('IDAT', idat),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

const u16 = (value) => [value & 255, value >> 8];

/** A GIF with one frame, of which hardly anything is there. */
export const gif = (width, height) =>
  Buffer.from([
    ...Buffer.from('GIF89a'),
    ...u16(width),
    ...u16(height),
    0xf0,
    0,
    0,
    0,
    0,
    0,
    255,
    255,
    255,
    0x2c,
    0,
    0,
    0,
    0,
    ...u16(width),
    ...u16(height),
    0,
    2,
    2,
    0x44,
    1,
    0,
    0x3b,
  ]);

/** Makes a baseline JPEG whose header has another size. */
export function jpegOfSize(bytes, width, height) {
  const jpeg = Buffer.from(bytes);
  const frame = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
  jpeg.writeUInt16BE(height, frame + 5);
  jpeg.writeUInt16BE(width, frame + 7);
  return jpeg;
}

/** Returns a lossless WebP with a header of this size and no pixels. */
export function webpOfSize(width, height) {
  const bytes = Buffer.alloc(32);
  bytes.write('RIFF');
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WEBPVP8L', 8);
  bytes.writeUInt32LE(bytes.length - 20, 16);
  bytes[20] = 0x2f;
  bytes.writeUInt32LE((width - 1) | ((height - 1) << 14), 21);
  return bytes;
}
