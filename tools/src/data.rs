//! The data that tests read and that is not in the repository; tests/README.md lists it.

use std::path::PathBuf;

/// The folder with the data; `None` if `PILOTLIGHT_DATA` is `none`, by which a contributor leaves its tests out.
///
/// Panics if the folder lacks a file, so that no test is left out unnoticed.
pub fn data(file: &str) -> Option<PathBuf> {
    let folder = std::env::var("PILOTLIGHT_DATA").unwrap_or("../shared/data".into());
    if folder == "none" {
        println!("SKIPPED: PILOTLIGHT_DATA is none");
        return None;
    }
    let folder = PathBuf::from(folder);
    assert!(
        folder.join(file).exists(),
        "{} has no {file}: set PILOTLIGHT_DATA to the folder that tests/README.md describes, or to none to leave its tests out",
        folder.display()
    );
    Some(folder)
}

/// The first of the comma-separated values in a line.
pub fn first_field(line: &str) -> String {
    match line.strip_prefix('"') {
        Some(quoted) => {
            let quoted = quoted.replace("\"\"", "\u{0}");
            let field = quoted.split('"').next().unwrap_or_default();
            field.replace('\u{0}', "\"")
        }
        None => line.split(',').next().unwrap_or_default().to_owned(),
    }
}
