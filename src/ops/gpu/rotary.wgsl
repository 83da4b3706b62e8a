// Rotates each pair of values (i, i + HALF) of each head by the angle of its row and of i. An invocation has one value of the result.

const INVOCATIONS = 64u;

struct Info {
    values: u32,
    // The length of a row.
    width: u32,
    // Half of the width of a head.
    half_width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
// [rows, half_width] each
@group(0) @binding(1) var<storage, read> cosines: array<f32>;
@group(0) @binding(2) var<storage, read> sines: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> info: Info;

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
    let half_width = info.half_width;
    let column = at % info.width % (2u * half_width);
    let angle = at / info.width * half_width + column % half_width;
    let is_low = column < half_width;
    let other = select(at - half_width, at + half_width, is_low);
    let sine = select(sines[angle], -sines[angle], is_low);
    y[at] = x[at] * cosines[angle] + x[other] * sine;
}
