// Rows of f16 weights: y[row] = table row ids[row], converted to f32. An invocation has one value.
//
// The rows are those of a table, [v, ⌈d / 2⌉] of two columns in each word, or outputs of a linear layer, [⌈v / 8⌉, d, 4] of two outputs in
// each word. LANES is the number of words in which the outputs of a panel lie, or 1 for a table.

const INVOCATIONS = 64u;
const LANES = {{lanes}}u;

struct Info {
    values: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
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
    let column = at % info.columns;
    let id = ids[at / info.columns];
    // The place of the value if a word had one half.
    var half = id * ((info.columns + 1u) / 2u * 2u) + column;
    if LANES > 1u {
        half = (id / 8u * info.columns + column) * 8u + id % 8u;
    }
    y[at] = unpack2x16float(table[half / 2u])[half % 2u];
}
