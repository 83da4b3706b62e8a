/** Row `i` of embeddings. */
export function row({ data, dims }, i) {
  return data.subarray(i * dims[1], (i + 1) * dims[1]);
}

/** Largest difference of two vectors; NaN when a value is not a number. */
export function maxAbsError(a, b) {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  // Math.max returns NaN if one value is NaN.
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);
}

export function cosine(a, b) {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** The vector scaled to length 1. */
export function normalized(vector) {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
