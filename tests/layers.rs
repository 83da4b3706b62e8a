//! The modules of `src` form layers, and each uses only layers below its own.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from bottom to top. Modules of one layer do not use each other.
const LAYERS: &[&[&str]] = &[
    &["error"],
    &["interop", "memory", "scheduler"],
    &["ops", "text", "image"],
    &["hub", "device"],
    &["weights"],
    &["models", "store"],
    &["heads", "index"],
    &["tasks"],
    &["bindings"],
];

/// Uses that the order of layers forbids, each with the reason why it stays: `(user, used, reason)`.
const ALLOWED: &[(&str, &str, &str)] = &[];

#[test]
fn modules_use_only_layers_below_their_own() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut uses = BTreeSet::new();
    for file in rust_files(&src) {
        let inner = file.strip_prefix(&src).unwrap();
        let module = inner.iter().next().unwrap().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        // `lib.rs` only declares and re-exports; tests may use any module.
        if module == "lib"
            || inner
                .iter()
                .any(|part| part == "tests" || part == "tests.rs")
        {
            continue;
        }
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            uses.insert((module.to_string(), used, inner.display().to_string()));
        }
    }
    assert!(uses.len() > 50, "only {} uses were found", uses.len());
    let mut wrong = Vec::new();
    for (module, used, file) in &uses {
        let allowed = ALLOWED
            .iter()
            .any(|(user, target, _)| user == module && target == used);
        if module != used && !allowed && layer(used) >= layer(module) {
            wrong.push(format!("{file} uses crate::{used}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "uses that point up or sideways:\n{}",
        wrong.join("\n")
    );
    for (user, target, _) in ALLOWED {
        let stands = uses
            .iter()
            .any(|(module, used, _)| module == user && used == target);
        assert!(
            stands,
            "{user} does not use {target} any more: remove it from ALLOWED"
        );
    }
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("module {module} is in no layer of tests/layers.rs"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The first names after `crate::` in a file, without its comments and its unit tests.
fn used_modules(source: &str) -> BTreeSet<String> {
    let code = source
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            rest.split_at(end.unwrap_or(rest.len())).0.to_string()
        })
        .collect()
}
