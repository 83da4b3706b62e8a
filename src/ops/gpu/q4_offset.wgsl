// int4 weights with an offset per output and 32 inputs, which is added to the scaled weights.

// As the scales.
@group(0) @binding(4) var<storage, read> offset: array<vec2<u32>>;

fn offset_of(group: u32) -> vec4<f32> {
    return halves(offset[group]);
}
