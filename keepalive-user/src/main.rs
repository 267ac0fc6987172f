//! katrace: TCP keepalive at work. Everything is in the library beside this file.

fn main() -> std::process::ExitCode {
    katrace::main()
}
