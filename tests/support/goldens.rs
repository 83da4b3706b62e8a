//! The golden models, as `tests/goldens/index.json` lists them for every suite.

#![allow(clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::Deserialize;

/// One golden model; `tests/goldens/README.md` describes the fields.
#[derive(Deserialize)]
pub struct Listed {
    pub name: String,
    pub task: String,
    pub weights: String,
    pub tolerance: f32,
}

impl Listed {
    /// The golden with this name.
    pub fn named(name: &str) -> Self {
        let mut list = all().into_iter();
        list.find(|golden| golden.name == name).unwrap()
    }

    /// The goldens of a task whose model repositories are committed.
    pub fn committed(task: &str) -> Vec<Self> {
        let mut list = all();
        list.retain(|golden| golden.task == task && golden.weights == "committed");
        assert!(!list.is_empty(), "no golden of {task} is committed");
        list
    }

    pub fn folder(&self) -> PathBuf {
        folder(&self.name)
    }
}

/// A folder of `tests/goldens`.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name)
}

/// The device that runs the golden models: the GPU in a build with the feature `webgpu` where `PILOTLIGHT_DEVICE` is `gpu`, else the CPU.
pub fn device() -> Device {
    #[cfg(feature = "webgpu")]
    if std::env::var("PILOTLIGHT_DEVICE").is_ok_and(|device| device == "gpu") {
        return pollster::block_on(pilotlight::Gpu::open())
            .unwrap()
            .device()
            .clone();
    }
    pilotlight::cpu()
}

fn all() -> Vec<Listed> {
    serde_json::from_str(include_str!("../goldens/index.json")).unwrap()
}
