//! Nearest-neighbour upsampling with channels last.

/// Repeats each pixel of `x` `factor` times in both directions.
///
/// *Shapes*: `x: [b · h, w, c]`, `y: [b · h · factor, w · factor, c]`.
pub fn upsample(x: &[f32], [w, c]: [usize; 2], factor: usize, y: &mut [f32]) {
    let (row, wide) = ((w * c).max(1), (w * c * factor).max(1));
    for (index, y) in y.chunks_exact_mut(wide).enumerate() {
        let x = &x[index / factor * row..][..row];
        for (column, y) in y.chunks_exact_mut(c).enumerate() {
            y.copy_from_slice(&x[column / factor * c..][..c]);
        }
    }
}
