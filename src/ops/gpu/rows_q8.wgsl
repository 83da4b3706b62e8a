// Rows of int8 weights: y[row] = bytes of table row ids[row] · scale · factor of the column. An invocation has four columns of a row.
//
// The rows are those of a table, [v, quads], or outputs of a linear layer, [⌈v / 8⌉, quads, 8]. LANES is the number of rows whose words
// take turns: 1 or 8.

const INVOCATIONS = 64u;
const LANES = {{lanes}}u;

struct Info {
    rows: u32,
    // Quads of columns that are computed, and words of a row.
    quads: u32,
    stride: u32,
    columns: u32,
    // The number of smoothing factors; 0 where columns have none.
    factors: u32,
}

@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> smooth_of: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> info: Info;

@compute @workgroup_size(INVOCATIONS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let at = (group.y * groups.x + group.x) * INVOCATIONS + index;
    if at >= info.rows * info.quads {
        return;
    }
    let row = at / info.quads;
    let quad = at % info.quads;
    let id = ids[row];
    let word = table[(id / LANES * info.stride + quad) * LANES + id % LANES];
    for (var j = 0u; j < 4u && quad * 4u + j < info.columns; j++) {
        let column = quad * 4u + j;
        // The byte is shifted to the top and back, which extends its sign.
        var value = f32(bitcast<i32>(word << (24u - 8u * j)) >> 24u) * scale[id];
        if info.factors > 0u {
            value *= smooth_of[column];
        }
        y[row * info.columns + column] = value;
    }
}
