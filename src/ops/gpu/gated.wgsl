// y = activation(gate) · up. An invocation has one value.

const INVOCATIONS = 64u;

struct Info {
    values: u32,
    activation: u32,
}

@group(0) @binding(0) var<storage, read> gate: array<f32>;
@group(0) @binding(1) var<storage, read> up: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> info: Info;

@compute @workgroup_size(INVOCATIONS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let at = (group.y * groups.x + group.x) * INVOCATIONS + index;
    if at >= info.values {
        return;
    }
    y[at] = activate(vec4(gate[at]), info.activation).x * up[at];
}
