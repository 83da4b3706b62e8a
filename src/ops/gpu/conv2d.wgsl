// y = x ∗ weight + bias, with channels last.
//
// The matrix product of linear.wgsl, whose rows are the windows of the padded image, one for each pixel of the result. They are not
// copied: a workgroup computes where the windows of its pixels begin, and reads x through them.
//
// A workgroup computes a tile of TILE_M pixels by TILE_N outputs and walks the inputs (row, column and channel of the
// window) in steps of TILE_K, which it first copies to workgroup memory. An invocation keeps 4 pixels by one panel of
// 8 outputs in registers.

const GROUP_M = {{group_m}}u;
const GROUP_N = {{group_n}}u;
// A multiple of TILE_K, so that an invocation copies the same input in every step, and divides once for all its pixels.
const INVOCATIONS = GROUP_M * GROUP_N;
const TILE_M = GROUP_M * 4u;
const TILE_K = 16u;
const TILE_N = GROUP_N * 8u;
// One vector more than needed, so that neighbouring inputs lie in different banks when they are written.
const X_STRIDE = GROUP_M + 1u;
// Beyond every image, whichever row of the window is added.
const NOWHERE = 0x80000000u;

struct Info {
    // Pixels of the result, which are the rows of the product.
    rows: u32,
    // The size of x.
    height: u32,
    width: u32,
    channels: u32,
    // The size of y.
    high: u32,
    wide: u32,
    n: u32,
    // The window.
    size: u32,
    stride: u32,
    padding: u32,
    tiles: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
// [panels, size · size · channels, 2]: each panel of 8 outputs is two vectors.
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> info: Info;

// The start of each pixel's window: its row, column, and pixel in the batch. They are negative in the padding, which wraps around
// as u32 and is undone when the position in the window is added.
var<workgroup> corners: array<vec3<u32>, TILE_M>;
// [TILE_K, GROUP_M] of 4 pixels each.
var<workgroup> x_tile: array<vec4<f32>, TILE_K * X_STRIDE>;
// [TILE_K, GROUP_N, 2]
var<workgroup> w_tile: array<vec4<f32>, TILE_K * GROUP_N * 2u>;

fn corner(pixel: u32) -> vec3<u32> {
    if pixel >= info.rows {
        return vec3(NOWHERE, 0u, 0u);
    }
    let image = pixel / (info.high * info.wide);
    let row = pixel / info.wide % info.high * info.stride - info.padding;
    let column = pixel % info.wide * info.stride - info.padding;
    return vec3(row, column, (image * info.height + row) * info.width + column);
}

// One value of a window: `row`, `column` and `channel` are positions in it.
fn x_at(pixel: u32, row: u32, column: u32, channel: u32) -> f32 {
    let corner = corners[pixel];
    // The value is zero in the padding and below the window. A negative row or column is a huge number here.
    if row < info.size && corner.x + row < info.height && corner.y + column < info.width {
        return x[(corner.z + row * info.width + column) * info.channels + channel];
    }
    return 0.0;
}

@compute @workgroup_size(INVOCATIONS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let tile = group.y * groups.x + group.x;
    if tile >= info.tiles {
        return;
    }
    // Tiles of the same pixels follow each other, so that the values that they read of x stay in cache.
    let panels = (info.n + 7u) / 8u;
    let tiles_n = (panels + GROUP_N - 1u) / GROUP_N;
    let first_pixel = tile / tiles_n * TILE_M;
    let first_panel = tile % tiles_n * GROUP_N;
    let inputs = info.size * info.size * info.channels;
    // The four pixels and the panel of the tile whose sums this invocation computes.
    let own_four = index / GROUP_N;
    let own_panel = index % GROUP_N;

    for (var i = index; i < TILE_M; i += INVOCATIONS) {
        corners[i] = corner(first_pixel + i);
    }
    workgroupBarrier();

    // Columns are pixels of y, split into the low and the high half of the panel.
    var low = mat4x4<f32>();
    var high = mat4x4<f32>();
    for (var first_input = 0u; first_input < inputs; first_input += TILE_K) {
        let brought = index % TILE_K;
        let channel = (first_input + brought) % info.channels;
        let place = (first_input + brought) / info.channels;
        let row = place / info.size;
        let column = place % info.size;
        for (var four = index / TILE_K; four < GROUP_M; four += INVOCATIONS / TILE_K) {
            x_tile[brought * X_STRIDE + four] = vec4(
                x_at(four * 4u, row, column, channel),
                x_at(four * 4u + 1u, row, column, channel),
                x_at(four * 4u + 2u, row, column, channel),
                x_at(four * 4u + 3u, row, column, channel),
            );
        }
        for (var i = index; i < TILE_K * GROUP_N * 2u; i += INVOCATIONS) {
            // Neighbouring invocations read neighbouring vectors of one panel.
            let input = i / 2u % TILE_K;
            let panel = i / (TILE_K * 2u);
            var w = vec4(0.0);
            if first_panel + panel < panels && first_input + input < inputs {
                w = weight[((first_panel + panel) * inputs + first_input + input) * 2u + i % 2u];
            }
            w_tile[(input * GROUP_N + panel) * 2u + i % 2u] = w;
        }
        workgroupBarrier();
        for (var input = 0u; input < TILE_K; input++) {
            let pixels = x_tile[input * X_STRIDE + own_four];
            let w_low = w_tile[(input * GROUP_N + own_panel) * 2u];
            let w_high = w_tile[(input * GROUP_N + own_panel) * 2u + 1u];
            low += mat4x4(pixels.x * w_low, pixels.y * w_low, pixels.z * w_low, pixels.w * w_low);
            high += mat4x4(pixels.x * w_high, pixels.y * w_high, pixels.z * w_high, pixels.w * w_high);
        }
        workgroupBarrier();
    }

    let pixel = first_pixel + own_four * 4u;
    let output = (first_panel + own_panel) * 8u;
    let bias_low = bias_at(output);
    let bias_high = bias_at(output + 4u);
    for (var i = 0u; i < 4u; i++) {
        write(pixel + i, output, low[i] + bias_low);
        write(pixel + i, output + 4u, high[i] + bias_high);
    }
}
