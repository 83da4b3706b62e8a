// Reading the bias and writing the result of a matrix product of info.rows by info.n values, four outputs at a time. This text is
// appended to kernels that define the bindings info, bias and y.

fn bias_at(output: u32) -> vec4<f32> {
    // Outputs past the last are never written, so any bias will do for them.
    let last = info.n - 1u;
    return vec4(
        bias[min(output, last)],
        bias[min(output + 1u, last)],
        bias[min(output + 2u, last)],
        bias[min(output + 3u, last)],
    );
}

fn write(row: u32, output: u32, v: vec4<f32>) {
    if row >= info.rows {
        return;
    }
    let at = row * info.n + output;
    let left = info.n - min(output, info.n);
    if left > 0u { y[at] = v.x; }
    if left > 1u { y[at + 1u] = v.y; }
    if left > 2u { y[at + 2u] = v.z; }
    if left > 3u { y[at + 3u] = v.w; }
}
