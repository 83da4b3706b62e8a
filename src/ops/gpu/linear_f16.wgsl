// f16 weights of linear.wgsl. They are unpacked by a function that every device has, so that they need no feature for f16.

// [panels, k]: a vector has the eight outputs of a panel for one input, two in each word, the lower half first.
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;

// Copies the weights of TILE_K inputs and GROUP_N panels to workgroup memory.
fn bring_weights(first_panel: u32, panels: u32, first_input: u32, index: u32) {
    for (var i = index; i < TILE_K * GROUP_N; i += INVOCATIONS) {
        // Neighbouring invocations read neighbouring vectors of one panel.
        let input = i % TILE_K;
        let panel = i / TILE_K;
        var w = vec4(0u);
        if first_panel + panel < panels && first_input + input < info.k {
            w = weight[(first_panel + panel) * info.k + first_input + input];
        }
        let at = (input * GROUP_N + panel) * 2u;
        w_tile[at] = vec4(unpack2x16float(w.x), unpack2x16float(w.y));
        w_tile[at + 1u] = vec4(unpack2x16float(w.z), unpack2x16float(w.w));
    }
}

// The sums are of the weights themselves.
fn scaled(sums: vec4<f32>, output: u32) -> vec4<f32> {
    return sums;
}
