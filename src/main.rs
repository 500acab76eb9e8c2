//! The thin binary: everything is in the library, so that tests and benches can see it.

fn main() -> std::process::ExitCode {
    overgrant::cli::main()
}
