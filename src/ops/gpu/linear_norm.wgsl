// The end of linear.wgsl where a layer norm follows: y = norm(x · wᵀ + bias + residual) · gain + offset. A workgroup has all outputs of its rows,
// which fill GROUP_N panels. The bias is followed by the gain and the offset.
// The variance is computed from the centred values: the mean of squares minus the square of the mean would lose the digits of values
// with a large mean.

@group(0) @binding({{residual}}) var<storage, read> residual: array<f32>;

var<workgroup> partial: array<vec4<f32>, INVOCATIONS>;

// Adds up a value of each of four rows over the invocations of these rows, and returns the sums in all of them. Every invocation must call it.
fn sum_of_rows(values: vec4<f32>, local: vec3<u32>) -> vec4<f32> {
    let at = local.y * GROUP_N + local.x;
    // Other invocations may still be reading the previous sums.
    workgroupBarrier();
    partial[at] = values;
    for (var left = GROUP_N; left > 1u; left = (left + 1u) / 2u) {
        workgroupBarrier();
        if local.x < left / 2u {
            partial[at] += partial[at + (left + 1u) / 2u];
        }
    }
    workgroupBarrier();
    return partial[local.y * GROUP_N];
}

fn four(v: vec4<f32>) -> f32 {
    return v.x + v.y + (v.z + v.w);
}

fn residual_at(at: u32) -> vec4<f32> {
    return vec4(residual[at], residual[at + 1u], residual[at + 2u], residual[at + 3u]);
}

// As in linear_end.wgsl.
fn finish(row: u32, output: u32, low_sums: mat4x4<f32>, high_sums: mat4x4<f32>, local: vec3<u32>) {
    // Only variables may be indexed by variables.
    var low = low_sums;
    var high = high_sums;
    var low_values = mat4x4<f32>();
    var high_values = mat4x4<f32>();
    let bias_low = bias_at(output);
    let bias_high = bias_at(output + 4u);
    for (var i = 0u; i < 4u; i++) {
        // Rows past the last are never written, so any residual will do for them.
        let at = min(row + i, info.rows - 1u) * info.n + output;
        low_values[i] = scaled(low[i], output) + bias_low + residual_at(at);
        high_values[i] = scaled(high[i], output + 4u) + bias_high + residual_at(at + 4u);
    }
    let count = f32(info.n);
    var sums = vec4(0.0);
    for (var i = 0u; i < 4u; i++) {
        sums[i] = four(low_values[i]) + four(high_values[i]);
    }
    let means = sum_of_rows(sums, local) / count;
    var squares = vec4(0.0);
    for (var i = 0u; i < 4u; i++) {
        low_values[i] -= vec4(means[i]);
        high_values[i] -= vec4(means[i]);
        squares[i] = four(low_values[i] * low_values[i]) + four(high_values[i] * high_values[i]);
    }
    let scales = inverseSqrt(sum_of_rows(squares, local) / count + vec4(bitcast<f32>(info.epsilon)));
    for (var i = 0u; i < 4u; i++) {
        write_normalized(row + i, output, low_values[i] * scales[i]);
        write_normalized(row + i, output + 4u, high_values[i] * scales[i]);
    }
}

fn write_normalized(row: u32, output: u32, v: vec4<f32>) {
    let gain = info.n + output;
    let offset = 2u * info.n + output;
    write(
        row,
        output,
        v * vec4(bias[gain], bias[gain + 1u], bias[gain + 2u], bias[gain + 3u])
            + vec4(bias[offset], bias[offset + 1u], bias[offset + 2u], bias[offset + 3u]),
    );
}
