/** The reduced copies of an image that are kept instead of its file. */
export interface Miniatures {
  thumb: Blob;
  preview: Blob;
  width: number;
  height: number;
}

/** Pixels along an edge of a thumbnail. */
const THUMB = 160;
/** Pixels of the shorter side of a preview, which is more than any of the models takes. */
const PREVIEW = 384;
/** A file of at most this many bytes is its own preview. */
const SMALL_FILE = 60e3;

/** Makes the reduced copies of an image; throws the browser's error where it cannot decode the file. */
export async function miniatures(file: Blob): Promise<Miniatures> {
  const bitmap = await createImageBitmap(file);
  try {
    const { width, height } = bitmap;
    const scale = Math.min(1, PREVIEW / Math.min(width, height));
    const small = file.size <= SMALL_FILE && scale === 1;
    const edge = Math.min(width, height);
    const middle = [(width - edge) / 2, (height - edge) / 2, edge, edge] as const;
    return {
      thumb: await painted(THUMB, THUMB, (pen) => pen.drawImage(bitmap, ...middle, 0, 0, THUMB, THUMB)),
      preview: small
        ? file
        : await painted(width * scale, height * scale, (pen) =>
            pen.drawImage(bitmap, 0, 0, pen.canvas.width, pen.canvas.height),
          ),
      width,
      height,
    };
  } finally {
    bitmap.close();
  }
}

/** Writes what `paint` draws as WebP, or as PNG where the browser writes no WebP. Transparent parts become white, as they do for the model. */
async function painted(width: number, height: number, paint: (pen: CanvasRenderingContext2D) => void): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('this browser gives out no canvas');
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = 'high';
  paint(pen);
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error('this browser cannot write the thumbnail'))),
      'image/webp',
      0.85,
    ),
  );
}
