// y = (s - mean(s)) / √(variance(s) + ε) · gamma + beta, with s = x + residual, one row per workgroup.
// The variance is computed from the centred values: the mean of squares minus the square of the mean would lose the digits of values
// with a large mean.

const INVOCATIONS = 64u;

struct Info {
    rows: u32,
    columns: u32,
    // An f32 as its bits.
    epsilon: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> residual: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> info: Info;

@compute @workgroup_size(INVOCATIONS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let row = group.y * groups.x + group.x;
    if row >= info.rows {
        return;
    }
    let first = row * info.columns;
    let columns = f32(info.columns);

    var values = 0.0;
    for (var i = index; i < info.columns; i += INVOCATIONS) {
        values += x[first + i] + residual[first + i];
    }
    let mean = sum(values, index) / columns;

    var squares = 0.0;
    for (var i = index; i < info.columns; i += INVOCATIONS) {
        let centred = x[first + i] + residual[first + i] - mean;
        squares += centred * centred;
    }
    let scale = inverseSqrt(sum(squares, index) / columns + bitcast<f32>(info.epsilon));

    for (var i = index; i < info.columns; i += INVOCATIONS) {
        let centred = x[first + i] + residual[first + i] - mean;
        y[first + i] = centred * scale * gamma[i] + beta[i];
    }
}
