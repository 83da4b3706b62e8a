//! Tells the linker that the WebGPU core is called more than once.
//!
//! cubecl registers parts of its compiler by constructors. Unless their caller is exported, the linker takes the module for a command, which
//! is called once, and runs all of them at the beginning of every exported function: hundreds of milliseconds for each embedding.
//! `pkg-config/build/glue.mjs` has them called once for each instance.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_wasm = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32");
    if is_wasm && std::env::var_os("CARGO_FEATURE_WEBGPU").is_some() {
        println!("cargo::rustc-link-arg-cdylib=--export=__wasm_call_ctors");
    }
}
