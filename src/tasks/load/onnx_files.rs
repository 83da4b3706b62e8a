//! The ONNX files of a repository, by the precision of their weights.

use crate::hub::Snapshot;
use crate::weights::Dtype;

/// The names of an ONNX model, the preferred first, on a host that does not list its files.
pub(super) const ONNX: [&str; 4] = [
    "onnx/model.onnx",
    "model.onnx",
    "onnx/model_fp16.onnx",
    "model_fp16.onnx",
];

/// The prefixes of the names of ONNX models that have all weights.
pub const WHOLE: &[&str] = &["model"];

/// The prefixes of the names of ONNX models that have one tower each of a model for texts and images.
const TOWERS: [&str; 2] = ["text_model", "vision_model"];

/// The folders that may have a model.
const FOLDERS: [&str; 2] = ["onnx/", ""];

/// The endings of the names of models in float32, the preferred first: `model_O1.onnx`.
const SINGLE: [&str; 4] = ["", "_O1", "_O2", "_O3"];

/// The endings of those in float16. `O4` is the level at which the optimizer of onnxruntime writes models for GPUs.
const HALF: [&str; 2] = ["_fp16", "_O4"];

/// The endings of those in 8 bits. A star stands for the processor that a file was made for; the numbers are those of all.
const EIGHT_BITS: [&str; 6] = [
    "_quint8_avx2",
    "_quint8_*",
    "_qint8_*",
    "_quantized",
    "_uint8",
    "_int8",
];

/// The listed ONNX files that serve a dtype, from the one with the fewest bytes to the one with the most. `stems`: how their names may begin,
/// the preferred first. `lossy`: whether weights of 8 bits do.
pub(super) fn serving(
    snapshot: &Snapshot,
    stems: &[&str],
    dtype: Dtype,
    lossy: bool,
) -> Vec<String> {
    let eight_bits: &[&str] = match lossy {
        true => &EIGHT_BITS,
        false => &[],
    };
    // For dtype f32, rounded files are only used if there is no other.
    let (first, last): (&[&str], &[&str]) = match dtype {
        Dtype::F32 => (&SINGLE, &HALF),
        Dtype::F16 | Dtype::Q8 | Dtype::Q4 => (&HALF, &SINGLE),
    };
    let mut found = Vec::new();
    for kind in eight_bits.iter().chain(first).chain(last) {
        let places = stems
            .iter()
            .flat_map(|stem| FOLDERS.map(|folder| (folder, *stem)));
        for place in places {
            let files = snapshot.files.iter().flatten();
            let files = files.filter(|(name, entry)| {
                // A stream cannot be read from several places.
                !entry.once && !found.contains(*name) && is_of(name, place, kind)
            });
            let names: Vec<_> = files.map(|(name, _)| name.clone()).collect();
            found.extend(names);
        }
    }
    found
}

/// Whether a file has the name of a model in a folder, with a beginning and an ending, where a star stands for any letters.
fn is_of(name: &str, (folder, stem): (&str, &str), kind: &str) -> bool {
    let rest = name.strip_prefix(folder);
    let rest = rest.and_then(|name| name.strip_prefix(stem));
    let Some(rest) = rest.and_then(|name| name.strip_suffix(".onnx")) else {
        return false;
    };
    match kind.strip_suffix('*') {
        Some(start) => rest.starts_with(start) && !rest.contains('/'),
        None => rest == kind,
    }
}

/// The folder of the ONNX file of a tower, and the ending of its name; `None` for a file of the whole model.
fn of_tower(file: &str) -> Option<(&str, &str)> {
    let (folder, name) = match file.rfind('/') {
        Some(slash) => file.split_at(slash + 1),
        None => ("", file),
    };
    let ending = TOWERS.iter().find_map(|stem| name.strip_prefix(stem))?;
    Some((folder, ending))
}

/// Whether an ONNX file has one tower by its name.
pub(super) fn is_tower(file: &str) -> bool {
    of_tower(file).is_some()
}

/// The bytes of the ONNX files that have the weights of the whole model, of which `file` is one: of both towers. `None` where the host does not
/// list them, or not their sizes.
pub(super) fn bytes_of_all(snapshot: &Snapshot, file: &str) -> Option<u64> {
    let Some((folder, ending)) = of_tower(file) else {
        return bytes(snapshot, file);
    };
    let each = TOWERS.iter().map(|stem| {
        let file = format!("{folder}{stem}{ending}");
        snapshot.lists(&file).then(|| bytes(snapshot, &file))?
    });
    each.sum()
}

/// The bytes of an ONNX file, and of those beside it that have its values (`….onnx_data`, `….onnx.data`), where the host lists their sizes.
fn bytes(snapshot: &Snapshot, file: &str) -> Option<u64> {
    let files = snapshot.files.iter().flatten();
    let files = files.filter(|(name, _)| name.starts_with(file));
    files.map(|(_, entry)| entry.size).sum()
}
