//! The program `katrace`. All of its code is in the library beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    katrace::main()
}
