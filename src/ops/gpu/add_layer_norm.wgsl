// y = (s - mean(s)) / √(variance(s) + ε) · gamma + beta, with s = x + residual, one row per workgroup.
// The variance is that of the centred values: their squares' mean minus the mean's square loses the digits of a large mean.

const INVOCATIONS = 64u;

struct Info {
    rows: u32,
    columns: u32,
    // The bits of an f32.
    epsilon: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> residual: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> info: Info;

var<workgroup> partial: array<f32, INVOCATIONS>;

// The sum of one value from every invocation, in each of them. Must be called by all.
fn sum(value: f32, index: u32) -> f32 {
    // What an earlier sum left may still be being read.
    workgroupBarrier();
    partial[index] = value;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if index < half {
            partial[index] += partial[index + half];
        }
    }
    workgroupBarrier();
    return partial[0];
}

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
