// y = activation(x · wᵀ + bias)
//
// A workgroup computes a tile of TILE_M rows by TILE_N outputs and walks the inputs in steps of TILE_K, which it first copies
// to workgroup memory. An invocation keeps 4 rows by one panel of 8 outputs in registers: for each input, one vector of
// x and two of w feed 32 multiply-adds.

const GROUP_M = {{group_m}}u;
const GROUP_N = {{group_n}}u;
const INVOCATIONS = GROUP_M * GROUP_N;
const TILE_M = GROUP_M * 4u;
const TILE_K = 16u;
const TILE_N = GROUP_N * 8u;
// One vector more than needed, so that neighbouring inputs lie in different banks when they are written.
const X_STRIDE = GROUP_M + 1u;

struct Info {
    rows: u32,
    k: u32,
    n: u32,
    // The number of the activation in activation.wgsl.
    activation: u32,
    tiles: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
// [panels, k, 2]: each panel of 8 outputs is two vectors.
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> info: Info;

// [TILE_K, GROUP_M] of 4 rows each.
var<workgroup> x_tile: array<vec4<f32>, TILE_K * X_STRIDE>;
// [TILE_K, GROUP_N, 2]
var<workgroup> w_tile: array<vec4<f32>, TILE_K * GROUP_N * 2u>;

fn x_at(row: u32, input: u32) -> f32 {
    if row < info.rows && input < info.k {
        return x[row * info.k + input];
    }
    return 0.0;
}

@compute @workgroup_size(GROUP_N, GROUP_M, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = group.y * groups.x + group.x;
    if tile >= info.tiles {
        return;
    }
    // Tiles of the same rows follow each other, so that these rows of x stay in cache.
    let panels = (info.n + 7u) / 8u;
    let tiles_n = (panels + GROUP_N - 1u) / GROUP_N;
    let first_row = tile / tiles_n * TILE_M;
    let first_panel = tile % tiles_n * GROUP_N;

    // Columns are rows of y, split into the low and the high half of the panel.
    var low = mat4x4<f32>();
    var high = mat4x4<f32>();
    for (var first_input = 0u; first_input < info.k; first_input += TILE_K) {
        for (var i = index; i < TILE_K * GROUP_M; i += INVOCATIONS) {
            let input = i % TILE_K;
            let rows = i / TILE_K;
            let row = first_row + rows * 4u;
            let at = first_input + input;
            x_tile[input * X_STRIDE + rows] =
                vec4(x_at(row, at), x_at(row + 1u, at), x_at(row + 2u, at), x_at(row + 3u, at));
        }
        for (var i = index; i < TILE_K * GROUP_N * 2u; i += INVOCATIONS) {
            // Neighbouring invocations read neighbouring vectors of one panel.
            let input = i / 2u % TILE_K;
            let panel = i / (TILE_K * 2u);
            var w = vec4(0.0);
            if first_panel + panel < panels && first_input + input < info.k {
                w = weight[((first_panel + panel) * info.k + first_input + input) * 2u + i % 2u];
            }
            w_tile[(input * GROUP_N + panel) * 2u + i % 2u] = w;
        }
        workgroupBarrier();
        for (var input = 0u; input < TILE_K; input++) {
            let rows = x_tile[input * X_STRIDE + local.y];
            let w_low = w_tile[(input * GROUP_N + local.x) * 2u];
            let w_high = w_tile[(input * GROUP_N + local.x) * 2u + 1u];
            low += mat4x4(rows.x * w_low, rows.y * w_low, rows.z * w_low, rows.w * w_low);
            high += mat4x4(rows.x * w_high, rows.y * w_high, rows.z * w_high, rows.w * w_high);
        }
        workgroupBarrier();
    }

    let row = first_row + local.y * 4u;
    let output = (first_panel + local.x) * 8u;
    let bias_low = bias_at(output);
    let bias_high = bias_at(output + 4u);
    for (var i = 0u; i < 4u; i++) {
        write(row + i, output, activate(low[i] + bias_low, info.activation));
        write(row + i, output + 4u, activate(high[i] + bias_high, info.activation));
    }
}
