//! Writes a ViT-B/32 to measure with: the weights that a generator makes, in f16 as some checkpoints have them. CLIP's own
//! tokenizer joins it where `PILOTLIGHT_DATA` names the folder that has one; without it the image tower alone can be loaded.
//!
//! `cargo run --release -p pilotlight-tools --bin seed-clip -- FOLDER`

use std::path::PathBuf;
use std::{env, fs, io};

use pilotlight_tools::seeded_clip;

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("the folder to write to is missing"))?;
    fs::create_dir_all(&folder)?;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let goldens = root.join("tests/goldens/clip-vit-b32");
    for file in ["config.json", "preprocessor_config.json"] {
        fs::copy(goldens.join(file), folder.join(file))?;
    }
    let data = env::var("PILOTLIGHT_DATA").map_or(root.join("../shared/data"), PathBuf::from);
    // The file is read and written, not copied: the folder of data may be read-only, and a copy would then be read-only too.
    if let Ok(tokenizer) = fs::read(data.join("clip/tokenizer.json")) {
        fs::write(folder.join("tokenizer.json"), tokenizer)?;
    }
    fs::write(folder.join("model.safetensors"), seeded_clip::checkpoint())
}
