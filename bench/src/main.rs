//! Measures MemKV beside other maps: `cargo run --release -p memkv-bench -- quick`.

#![cfg_attr(not(feature = "peers"), allow(dead_code, reason = "some is for those peers alone"))]

mod cli;
mod compare;
mod keys;
mod kind;
mod measure;
mod memory;
mod models;
mod peer;
mod peers;
mod perf;
mod random;
mod record;
mod report;
mod run;
mod scale;
mod statistics;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: memory::CountingAllocator = memory::CountingAllocator;

fn main() -> ExitCode {
    match cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("memkv-bench: {message}");
            ExitCode::FAILURE
        }
    }
}
