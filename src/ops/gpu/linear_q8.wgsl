// int8 weights of linear.wgsl, one scale per output and one smoothing factor per input. Layers that were joined to one have factors of
// their own.

// [panels, quads, 2]: a vector has four outputs of four neighbouring inputs each, the first of them in the lowest byte.
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scale: array<f32>;
// [layers, k]
@group(0) @binding(4) var<storage, read> smooth_of: array<f32>;

// Copies the weights of TILE_K inputs and GROUP_N panels to workgroup memory, without their scales. They are multiplied by the factors of
// their inputs, in place of the inputs.
fn bring_weights(first_panel: u32, panels: u32, first_input: u32, index: u32) {
    for (var i = index; i < TILE_K / 4u * GROUP_N * 2u; i += INVOCATIONS) {
        // Neighbouring invocations read neighbouring vectors of one panel.
        let half = i % 2u;
        let quad = i / 2u % (TILE_K / 4u);
        let panel = i / (TILE_K / 2u);
        let at = first_input / 4u + quad;
        var w = vec4(0u);
        if first_panel + panel < panels {
            w = weight[((first_panel + panel) * info.stride + at) * 2u + half];
        }
        let factors = min(first_panel + panel, panels - 1u) / info.part * info.k;
        for (var j = 0u; j < 4u; j++) {
            // The byte is shifted to the top and back, which extends its sign.
            let bytes = bitcast<vec4<i32>>(w << vec4(24u - 8u * j)) >> vec4(24u);
            // Weights past the last input are zero, so any factor will do for them.
            let factor = smooth_of[factors + min(at * 4u + j, info.k - 1u)];
            w_tile[((quad * 4u + j) * GROUP_N + panel) * 2u + half] = vec4<f32>(bytes) * factor;
        }
    }
}

fn scaled(sums: vec4<f32>, output: u32) -> vec4<f32> {
    // Outputs past the last are never written, so any scale will do for them.
    let last = info.n - 1u;
    return sums * vec4(
        scale[min(output, last)],
        scale[min(output + 1u, last)],
        scale[min(output + 2u, last)],
        scale[min(output + 3u, last)],
    );
}
