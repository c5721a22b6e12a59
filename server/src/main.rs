//! The `auditgap` binary. Everything is in the library, so that tests can reach it.

use std::process::ExitCode;

/// Millions of small facts are made on one thread and let go on another, which the system's allocator takes hard.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    auditgap_server::run()
}
