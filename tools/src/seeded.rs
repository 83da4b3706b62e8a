//! The parts that the seeded checkpoints share: the numbers that belong to a name, and the header of a safetensors file.

/// A tensor's name and shape.
pub(crate) type Tensor = (String, Vec<usize>);

/// The integers from -1024 to 1023 that belong to a name.
pub(crate) fn draw(name: &str, count: usize) -> impl Iterator<Item = i32> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (1..=count as u64).map(move |index| {
        // SplitMix64, with the index for its state.
        let mut z = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 53) as i32 - 1024
    })
}

/// Returns the number of values of a tensor of this shape.
pub(crate) fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// The start of a safetensors file with these tensors, of two bytes a value, and the bytes of values that follow it.
pub(crate) fn header(tensors: &[Tensor], dtype: &str) -> (Vec<u8>, usize) {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let start = end;
        end += 2 * count(shape);
        let entry =
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap_or_default();
    let mut file = Vec::with_capacity(8 + header.len());
    file.extend((header.len() as u64).to_le_bytes());
    file.extend(header);
    (file, end)
}
