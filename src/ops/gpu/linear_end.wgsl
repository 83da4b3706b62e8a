// The end of linear.wgsl: bias and activation.

// Writes the outputs of one panel from `output` on, of four rows from `row` on. Columns of the sums are rows of y, split into the low
// and the high half of the panel.
fn finish(row: u32, output: u32, low_sums: mat4x4<f32>, high_sums: mat4x4<f32>, local: vec3<u32>) {
    // Only variables may be indexed by variables.
    var low = low_sums;
    var high = high_sums;
    let bias_low = bias_at(output);
    let bias_high = bias_at(output + 4u);
    for (var i = 0u; i < 4u; i++) {
        write(row + i, output, activate(scaled(low[i], output) + bias_low, info.activation));
        write(row + i, output + 4u, activate(scaled(high[i], output + 4u) + bias_high, info.activation));
    }
}
