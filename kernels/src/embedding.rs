//! Looking up rows of an int8 table.

/// Looks up and dequantizes a row for each id.
///
/// *Shapes*: `table: [v, quads]` of four int8 in an i32, `scale: [v]`, `ids: [t]` below `v`, `y: [t, dimensions]`.
pub fn embedding_q8(
    table: &[i32],
    scale: &[f32],
    ids: &[i32],
    quads: usize,
    y: &mut [f32],
    dimensions: usize,
) {
    for (&id, y) in ids.iter().zip(y.chunks_exact_mut(dimensions)) {
        let (row, scale) = (id as usize, scale[id as usize]);
        let bytes = table[row * quads..(row + 1) * quads]
            .iter()
            .flat_map(|quad| quad.to_le_bytes());
        for (y, byte) in y.iter_mut().zip(bytes) {
            *y = f32::from(byte.cast_signed()) * scale;
        }
    }
}
