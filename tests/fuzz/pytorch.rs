//! Checkpoints of PyTorch: the archive and the pickle in it, by whole loads, and pickles that are built to take much memory.

use pilotlight::{MemoryHost, NoYield, Source};

use super::support::model_among;
use super::support::pytorch::testing::{Archive, pickle, text};
use super::support::pytorch::{PYTORCH, pytorch_of};
use super::{Loads, MEMORY, Random, fuzz, mutate, plan, tiny};

/// The start and the length of the pickle's data.
fn place_of_pickle(file: &[u8]) -> (usize, usize) {
    let entry = file.windows(4).position(|bytes| bytes == b"PK\x01\x02");
    let size = file[entry.unwrap() + 24..].first_chunk().unwrap();
    (64, u32::from_le_bytes(*size) as usize)
}

/// Changes a byte, or a number of four bytes, without moving the bytes after it: the places in the archive stay right.
fn change_in_place(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(4) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => {
            // An opcode that is somewhere else in the pickle.
            let other = random.below(bytes.len());
            bytes[at] = bytes[other];
        }
        _ => {
            let numbers = [0, 1, 63, 1 << 20, 1 << 31, u32::MAX];
            let number = numbers[random.below(numbers.len())].to_le_bytes();
            let count = number.len().min(bytes.len() - at);
            bytes[at..at + count].copy_from_slice(&number[..count]);
        }
    }
}

#[test]
fn a_checkpoint_of_pytorch() {
    let files = pytorch_of(&model_among(1, &[]));
    let file = &files[PYTORCH];
    let (start, length) = place_of_pickle(file);
    let directory = file.windows(4).position(|bytes| bytes == b"PK\x01\x02");
    let directory = directory.unwrap();
    let loads = Loads::default();
    fuzz("PyTorch", 12, |random| {
        let mut changed = file.clone();
        for _ in 0..random.below(4) {
            let part = match random.below(3) {
                0 => &mut changed[..],
                1 => &mut changed[start..start + length],
                _ => &mut changed[directory..],
            };
            change_in_place(part, random);
        }
        if random.below(8) == 0 {
            changed = mutate(&changed, random);
        }
        // The tokenizer takes memory of its own.
        let size = changed.len() + 4_000;
        let mut files = files.clone();
        changed.shrink_to_fit();
        files.insert(PYTORCH.into(), changed);
        let host = MemoryHost::new(files);
        // The copies above, of which a truncated file leaves little, are none of the loader's memory.
        MEMORY.reset_peak_usage();
        let source = Source::new(&host, &NoYield);
        loads.run(&source, random);
        size
    });
    loads.check();
}

/// Pieces of pickles: those that take much memory for few bytes, and those that tensors are made of.
fn pieces() -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = [
        b"}" as &[u8],
        b"]",
        b")",
        b"(",
        b"t",
        b"N",
        b"K\x01",
        b"\x94",
        b"q\x07",
        b"h\x07",
        b"r\xff\xff\xff\xff",
        b"\x85",
        b"\x87",
        b"a",
        b"e",
        b"s",
        b"u",
        b"b",
        b"Q",
        b"R",
        b"]q\x07h\x07a",
        b"}q\x07X\x01\0\0\0xh\x07s",
        b"ccollections\nOrderedDict\n)R",
        b"ctorch\nFloatStorage\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch._utils\n_rebuild_parameter\n",
        b"(NtR",
        b"X\xff\xff\xff\x7f",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    ]
    .map(<[u8]>::to_vec)
    .into();
    let whole = pickle(&[]);
    pieces.push(whole[..whole.len() - 2].to_vec());
    pieces.push(text("storage"));
    pieces
}

#[test]
fn a_pickle_of_any_opcodes() {
    let files = tiny();
    let pieces = pieces();
    fuzz("pickle", 15, |random| {
        let mut pickle = b"\x80\x02".to_vec();
        for _ in 0..random.below(40) {
            let piece = &pieces[random.below(pieces.len())];
            // A flood of one piece, now and then.
            let count = match random.below(6) {
                0 => random.below(20_000),
                _ => 1,
            };
            for _ in 0..count {
                pickle.extend(piece);
            }
        }
        pickle.push(b'.');
        let file = Archive::new(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 64])]).file();
        let size = file.len();
        let mut changed = files.clone();
        changed.remove(super::WEIGHTS);
        changed.insert(PYTORCH.into(), file);
        plan(changed);
        size + 4_000
    });
}

/// Names many tensors in few bytes: all are the same tensor, and most of the memory is that of the table.
#[test]
fn a_state_dict_of_many_names() {
    let files = tiny();
    let view = super::support::pytorch::testing::View::whole("x", 0, &[2]);
    let tensor = super::support::pytorch::testing::tensor(&view);
    fuzz("names", 16, |random| {
        let mut pickle = [b"\x80\x02}(".as_slice(), &text("x"), &tensor, b"q\x01"].concat();
        for number in 0..random.below(30_000) {
            pickle.extend(text(&format!("{number:x}")));
            pickle.extend(b"h\x01");
        }
        pickle.extend(b"u.");
        let file = Archive::new(&[("m/data.pkl", &pickle), ("m/data/0", &[0; 8])]).file();
        let size = file.len();
        let mut changed = files.clone();
        changed.remove(super::WEIGHTS);
        changed.insert(PYTORCH.into(), file);
        plan(changed);
        size + 4_000
    });
}
