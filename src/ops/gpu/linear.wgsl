// y = activation(x · wᵀ + bias)
//
// A workgroup computes a tile of TILE_M rows by TILE_N outputs and walks the inputs in steps of TILE_K, which it first copies
// to workgroup memory. An invocation keeps 4 rows by one panel of 8 outputs in registers: for each input, one vector of
// x and two of w feed 32 multiply-adds. Weights in f16, int8 and int4 are turned into f32 as they are copied, so that the sums are those of f32.
//
// linear_f32.wgsl, linear_f16.wgsl, linear_q8.wgsl or linear_q4.wgsl is appended, which has the bindings of the weights, `bring_weights` and `scaled`, and
// linear_end.wgsl or linear_norm.wgsl, which has `finish`.

const GROUP_M = {{group_m}}u;
const GROUP_N = {{group_n}}u;
const INVOCATIONS = GROUP_M * GROUP_N;
const TILE_M = GROUP_M * 4u;
const TILE_K = {{tile_k}}u;
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
    // Words of a lane of quantized weights: quads of int8, groups of int4.
    stride: u32,
    // The number of panels that share smoothing factors.
    part: u32,
    // What a layer norm adds to the variance, an f32 as its bits.
    epsilon: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding({{y}}) var<storage, read_write> y: array<f32>;
@group(0) @binding({{info}}) var<storage, read> info: Info;

// [TILE_K, GROUP_M] of 4 rows each.
var<workgroup> x_tile: array<vec4<f32>, TILE_K * X_STRIDE>;
// [TILE_K, GROUP_N, 2]: each panel of 8 outputs is two vectors.
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
        bring_weights(first_panel, panels, first_input, index);
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

    finish(first_row + local.y * 4u, (first_panel + local.x) * 8u, low, high, local);
}
