//! Writes a Qwen2.5-0.5B to test and measure with: the weights that a generator makes, in bf16 as the hub has them. Its tokenizer
//! is not among them.
//!
//! `cargo run --release -p pilotlight-tools --bin seed-qwen2 -- FOLDER`

use std::fs::File;
use std::path::PathBuf;
use std::{env, fs, io};

use pilotlight_tools::seeded_qwen2;

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("the folder to write to is missing"))?;
    fs::create_dir_all(&folder)?;
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/qwen2-0.5b");
    fs::copy(goldens.join("config.json"), folder.join("config.json"))?;
    seeded_qwen2::write_checkpoint(&mut File::create(folder.join("model.safetensors"))?)
}
