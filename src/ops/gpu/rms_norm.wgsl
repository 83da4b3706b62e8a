// y = x / √(mean(x²) + ε) · gain, one row per workgroup.

const INVOCATIONS = 64u;

struct Info {
    rows: u32,
    columns: u32,
    // An f32 as its bits.
    epsilon: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gain: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> info: Info;

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
    var squares = 0.0;
    for (var i = index; i < info.columns; i += INVOCATIONS) {
        squares += x[first + i] * x[first + i];
    }
    let scale = inverseSqrt(sum(squares, index) / f32(info.columns) + bitcast<f32>(info.epsilon));
    for (var i = index; i < info.columns; i += INVOCATIONS) {
        y[first + i] = x[first + i] * scale * gain[i];
    }
}
