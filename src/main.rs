//! The program `retold`. Everything is in the library's room `cli`.

fn main() -> std::process::ExitCode {
    retold::cli::main()
}
