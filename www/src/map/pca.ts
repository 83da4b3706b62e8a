/** The plane through a set of vectors along the two directions in which they spread most. */
export interface Plane {
  /** The coordinates of a vector on the plane. */
  project(vector: Float32Array): [number, number];
  /** The share of the variance that lies in the plane, 0 to 1. */
  share: number;
}

const ROUNDS = 60;

/**
 * Finds the first two principal components by power iteration on the matrix of inner products, which has one row a vector.
 * Returns null where there are fewer than two vectors or all of them are equal.
 */
export function fitPlane(vectors: readonly Float32Array[]): Plane | null {
  const width = vectors[0]?.length ?? 0;
  if (vectors.length < 2 || width === 0) return null;
  const mean = new Float64Array(width);
  for (const vector of vectors) {
    vector.forEach((value, i) => {
      mean[i] = (mean[i] ?? 0) + value / vectors.length;
    });
  }
  const rows = vectors.map((vector) => Float64Array.from(vector, (value, i) => value - (mean[i] ?? 0)));
  const gram = rows.map((a) => Float64Array.from(rows, (b) => dot(a, b)));
  const spread = gram.reduce((sum, row, i) => sum + (row[i] ?? 0), 0);
  if (spread < 1e-9) return null;

  const first = topEigenvector(gram, null);
  const second = topEigenvector(gram, first.vector);
  const axes = [first, second].map(({ vector }) => axis(rows, vector, width));
  return {
    share: Math.min(1, (first.value + second.value) / spread),
    project(vector) {
      const centred = Float64Array.from(vector, (value, i) => value - (mean[i] ?? 0));
      return [dot(centred, axes[0] ?? centred), dot(centred, axes[1] ?? centred)];
    },
  };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function topEigenvector(
  matrix: readonly Float64Array[],
  without: Float64Array | null,
): { vector: Float64Array; value: number } {
  // The start is fixed, so that the same vectors give the same plane, and uneven, so that no eigenvector is orthogonal to it by symmetry.
  let vector: Float64Array = Float64Array.from(matrix, (_, i) => Math.sin(1 + i * 1.7));
  let value = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const next = Float64Array.from(matrix, (row) => dot(row, vector));
    if (without) {
      const overlap = dot(next, without);
      next.forEach((x, i) => {
        next[i] = x - overlap * (without[i] ?? 0);
      });
    }
    value = Math.sqrt(dot(next, next));
    if (value < 1e-12) return { vector: new Float64Array(matrix.length), value: 0 };
    vector = next.map((x) => x / value);
  }
  return { vector, value };
}

/** The principal axis, of length 1, that belongs to an eigenvector of the matrix of inner products. */
function axis(rows: readonly Float64Array[], weights: Float64Array, width: number): Float64Array {
  const sum = new Float64Array(width);
  rows.forEach((row, r) => {
    const weight = weights[r] ?? 0;
    row.forEach((value, i) => {
      sum[i] = (sum[i] ?? 0) + weight * value;
    });
  });
  const length = Math.sqrt(dot(sum, sum));
  return length < 1e-12 ? sum : sum.map((value) => value / length);
}
