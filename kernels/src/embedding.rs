//! Looking up rows of a table: of an int8 table, or of a linear layer's packed weights.

use crate::layout::{PANEL, padded_quads};

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

/// Looks up the weights of an output of a linear layer for each id.
///
/// *Shapes*: `packed: [⌈n / 8⌉, k, 8]`, `ids: [t]` below `n`, `y: [t, k]`.
pub fn panel_rows_f32(packed: &[f32], ids: &[i32], k: usize, y: &mut [f32]) {
    for (&id, y) in ids.iter().zip(y.chunks_exact_mut(k)) {
        let (panel, lane) = (id as usize / PANEL, id as usize % PANEL);
        let panel = packed[panel * k * PANEL..][..k * PANEL]
            .as_chunks::<PANEL>()
            .0;
        for (y, lanes) in y.iter_mut().zip(panel) {
            *y = lanes[lane];
        }
    }
}

/// Looks up and dequantizes the weights of an output of an int8 linear layer for each id.
///
/// *Shapes*: `packed: [⌈n / 8⌉, quads, 8]` of four int8 in an i32, `scale: [n]`, `smooth: [k]`, by which the weights were divided,
/// `ids: [t]` below `n`, `y: [t, k]`.
pub fn panel_rows_q8(packed: &[i32], scale: &[f32], smooth: &[f32], ids: &[i32], y: &mut [f32]) {
    let k = smooth.len();
    let size = padded_quads(k) * PANEL;
    for (&id, y) in ids.iter().zip(y.chunks_exact_mut(k)) {
        let (panel, lane) = (id as usize / PANEL, id as usize % PANEL);
        let scale = scale[id as usize];
        let panel = packed[panel * size..][..size].as_chunks::<PANEL>().0;
        let bytes = panel.iter().flat_map(|lanes| lanes[lane].to_le_bytes());
        for ((y, byte), factor) in y.iter_mut().zip(bytes).zip(smooth) {
            *y = f32::from(byte.cast_signed()) * scale * factor;
        }
    }
}
