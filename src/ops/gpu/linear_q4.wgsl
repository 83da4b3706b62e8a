// int4 weights of linear.wgsl, one scale per output and 32 inputs. q4_offset.wgsl or q4_no_offset.wgsl is appended, which has `offset_of`.

// [panels, octets, 2]: a vector has four outputs of eight neighbouring inputs each. The first four inputs are in the low halves of the
// bytes, the others in the high halves.
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
// [panels, groups, 2]: a vector has four outputs, as f16.
@group(0) @binding(3) var<storage, read> scale: array<vec2<u32>>;

// Copies the weights of TILE_K inputs and GROUP_N panels to workgroup memory. TILE_K divides 32.
fn bring_weights(first_panel: u32, panels: u32, first_input: u32, index: u32) {
    for (var i = index; i < TILE_K / 8u * GROUP_N * 2u; i += INVOCATIONS) {
        // Neighbouring invocations read neighbouring vectors of one panel.
        let half = i % 2u;
        let octet = i / 2u % (TILE_K / 8u);
        let panel = i / (TILE_K / 4u);
        let at = first_input / 8u + octet;
        var w = vec4(0u);
        var scales = vec4(0.0);
        var offsets = vec4(0.0);
        if first_panel + panel < panels {
            let group = ((first_panel + panel) * info.stride + at / 4u) * 2u + half;
            w = weight[((first_panel + panel) * info.stride * 4u + at) * 2u + half];
            scales = halves(scale[group]);
            offsets = offset_of(group);
        }
        for (var j = 0u; j < 8u; j++) {
            // The half byte is shifted to the top and back, which extends its sign.
            let shift = 28u - (8u * (j % 4u) + 4u * (j / 4u));
            let nibbles = bitcast<vec4<i32>>(w << vec4(shift)) >> vec4(28u);
            w_tile[((octet * 8u + j) * GROUP_N + panel) * 2u + half] = vec4<f32>(nibbles) * scales + offsets;
        }
    }
}

// The four f16 of two words.
fn halves(words: vec2<u32>) -> vec4<f32> {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

// The weights have been scaled.
fn scaled(sums: vec4<f32>, output: u32) -> vec4<f32> {
    return sums;
}
