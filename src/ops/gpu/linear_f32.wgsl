// f32 weights of linear.wgsl.

// [panels, k, 2]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;

// Copies the weights of TILE_K inputs and GROUP_N panels to workgroup memory.
fn bring_weights(first_panel: u32, panels: u32, first_input: u32, index: u32) {
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
}

// The sums are of the weights themselves.
fn scaled(sums: vec4<f32>, output: u32) -> vec4<f32> {
    return sums;
}
