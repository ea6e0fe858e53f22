//! Arguments → window or headless; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    klar::cli::main()
}
