//! The same work on retold and on its peers, in turns, each run in a process of its own.

mod driver;
mod event;
mod group;
mod growth;
mod measure;
mod options;
mod payload;
mod peers;
mod plot;
mod processes;
mod quiet;
mod report;
mod search;
mod work;

use options::Options;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    if command == "process" {
        return processes::process(arguments);
    }
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(reason) => return usage(&reason),
    };
    match command.as_str() {
        "all" => driver::all(&options),
        "run" => {
            let job = options.job();
            for figure in work::run(&job) {
                println!("{}", figure.line(&job.peer));
            }
        }
        "crash" => work::crash(&options.job()),
        "processes" => processes::processes(&options),
        "search" => search::search(&options),
        "growth" => growth::growth(&options),
        "grown" => growth::grown(&options),
        _ => usage("say what to do"),
    }
}

fn usage(reason: &str) {
    eprintln!("{reason}\n\n{}", options::USAGE);
    std::process::exit(2);
}
