//! Tells the linker what two of the cores need beside the others.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_wasm = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32");
    let has =
        |feature: &str| is_wasm && std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if has("WEBGPU") {
        link(WEBGPU);
    }
    if has("THREADS") {
        link(THREADS);
    }
}

/// cubecl registers parts of its compiler by constructors. Unless their caller is exported, the linker takes the module for a command, which
/// is called once, and runs all of them at the beginning of every exported function: hundreds of milliseconds for each embedding.
/// `pkg-config/build/glue.mjs` has them called once for each instance.
const WEBGPU: &[&str] = &["--export=__wasm_call_ctors"];

/// Threads share a memory that comes from outside and may grow to 4 GiB, and wasm-bindgen gives each its own stack.
/// Most of the code has no atomics, which the linker would refuse: only the first thread runs it (`kernels/src/parallel/mod.rs`).
const THREADS: &[&str] = &[
    "--shared-memory",
    "--import-memory",
    "--max-memory=4294967296",
    "--no-check-features",
    "--export=__heap_base",
    "--export=__wasm_init_tls",
    "--export=__tls_size",
    "--export=__tls_align",
    "--export=__tls_base",
];

fn link(arguments: &[&str]) {
    for argument in arguments {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
