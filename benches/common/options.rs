//! The command line of a bench with its own `main`.

use std::process::ExitCode;

/// What a bench was asked for.
pub(crate) struct BenchOptions {
    /// Small sizes, to see that all runs.
    pub(crate) quick: bool,
    /// Entries in the maps.
    pub(crate) entries: Option<usize>,
    /// Rounds to take the best and the median of.
    pub(crate) rounds: Option<usize>,
    /// Seed of keys and orders.
    pub(crate) seed: u64,
}

/// Runs the bench `name` as its command line asks.
pub(crate) fn bench_main(
    name: &str,
    run: impl FnOnce(&BenchOptions) -> Result<(), String>,
) -> ExitCode {
    exit_code(name, bench_options(name).and_then(|options| run(&options)))
}

/// Tells of a failure of the bench `name`.
pub(crate) fn exit_code(name: &str, outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{name}: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line. `cargo bench` passes `--bench`; without it (as under `cargo test
/// --benches`) the bench runs with small sizes.
fn bench_options(name: &str) -> Result<BenchOptions, String> {
    use lexopt::prelude::*;
    let mut options = BenchOptions { quick: false, entries: None, rounds: None, seed: 1 };
    let mut under_cargo_bench = false;
    let mut read = || -> Result<(), lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => under_cargo_bench = true,
                Long("quick") => options.quick = true,
                Long("entries") => options.entries = Some(parser.value()?.parse()?),
                Long("rounds") => options.rounds = Some(parser.value()?.parse()?),
                Long("seed") => options.seed = parser.value()?.parse()?,
                Long("help") => {
                    println!(
                        "cargo bench --bench {name} -- [--quick] [--entries N] [--rounds N] \
                         [--seed S]"
                    );
                    std::process::exit(0);
                }
                // A filter for the name of a test, which cargo hands to every bench.
                Value(_) => {}
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(())
    };
    read().map_err(|error| error.to_string())?;
    options.quick |= !under_cargo_bench;
    Ok(options)
}
