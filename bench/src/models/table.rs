//! The subcommand: what is measured, and the table of it.

use super::measure::{self, Probes, Row, What};
use super::sets;
use clap::Args;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

#[derive(Args)]
pub(crate) struct Options {
    /// Keys of each set
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Only these sets
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    sets: Vec<String>,
    /// Only these: `plain`, `packed`, `elias-fano`, and `window` for windows alone
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    columns: Vec<String>,
    /// Gets of a pass
    #[arg(long, default_value_t = 200_000)]
    probes: usize,
    /// Whole maps with values instead of models over columns
    #[arg(long)]
    maps: bool,
    /// Count instructions and misses with callgrind instead of taking times
    #[arg(long)]
    count: bool,
    /// The passes that are counted
    #[arg(long, hide = true, conflicts_with = "count")]
    counted: bool,
}

/// The caches that are simulated: of one core, as if it had to share the last one.
const CACHES: [&str; 3] = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"];

/// What callgrind says of a pass, for each get.
#[derive(Clone, Copy)]
struct Counts {
    instructions: f64,
    mispredicted: f64,
    /// Misses of the first cache and of the last.
    first: f64,
    last: f64,
}

impl Counts {
    /// Cycles, by the formula of callgrind's own viewer.
    fn cycles(self) -> f64 {
        self.instructions + 10.0 * (self.mispredicted + self.first) + 100.0 * self.last
    }

    fn read(text: &str, gets: f64) -> Option<Self> {
        let line = |name| text.lines().find_map(|line| line.strip_prefix(name));
        let events = line("events:")?.split_whitespace();
        let totals = line("totals:")?.split_whitespace().map(str::parse::<f64>);
        let counts: HashMap<&str, f64> = events
            .zip(totals)
            .filter_map(|(name, total)| Some((name, total.ok()? / gets)))
            .collect();
        // Zeros at the end of a line are left out.
        let sum = |names: [&str; 2]| names.iter().filter_map(|name| counts.get(name)).sum();
        Some(Self {
            instructions: sum(["Ir", ""]),
            mispredicted: sum(["Bcm", "Bim"]),
            first: sum(["D1mr", "D1mw"]),
            last: sum(["DLmr", "DLmw"]),
        })
    }
}

/// Runs the passes below callgrind, and reads what each of them came to.
fn counts(options: &Options, set: &str) -> Result<Vec<Counts>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command
        .current_dir(folder.path())
        .args(["--tool=callgrind", "--cache-sim=yes", "--branch-sim=yes"])
        .arg("--toggle-collect=*counted_pass*")
        .args(measure::COUNTED.map(|name| format!("--dump-after={name}")))
        .args(["--callgrind-out-file=passes", "--quiet"])
        .args(CACHES)
        .arg(program)
        .args(["models", "--counted", "--sets", set])
        .args(["--keys", &options.keys.to_string(), "--probes", &options.probes.to_string()])
        .args(options.maps.then_some("--maps"))
        .args(options.columns.iter().flat_map(|name| ["--columns", name]));
    let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    (1..).map_while(|part| read(&folder.path().join(format!("passes.{part}")), options)).collect()
}

fn read(path: &Path, options: &Options) -> Option<Result<Counts, String>> {
    let text = fs::read_to_string(path).ok()?;
    let counts = Counts::read(&text, options.probes as f64);
    Some(counts.ok_or_else(|| format!("{}: no totals", path.display())))
}

fn rows(options: &Options, set: &str, what: What) -> Result<Vec<Row>, String> {
    let keys = sets::make(set, options.keys, 1)?;
    let count = if what == What::Time || options.counted { options.probes } else { 1 };
    let probes = Probes::new(&keys, count, what, &options.columns);
    let mut rows = Vec::new();
    let mut emit = |row| rows.push(row);
    if options.maps {
        measure::maps(&keys, &probes, &mut emit);
    } else {
        measure::models(&keys, &probes, &mut emit);
    }
    Ok(rows)
}

fn print(set: &str, rows: &[Row], counts: Option<&[Counts]>) {
    for (i, row) in rows.iter().enumerate() {
        let Row { place, name, bytes, column_bytes, widest, build_ns, get_ns, note } = row;
        print!("| {set} | {place} | {name} | {bytes:.3} | {column_bytes:.2} | {widest} |");
        match counts.and_then(|counts| counts.get(i)) {
            Some(counts) => println!(
                " {:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {note} |",
                counts.instructions,
                counts.mispredicted,
                counts.first,
                counts.last,
                counts.cycles()
            ),
            None => println!(" {build_ns:.0} | {get_ns:.0} | {note} |"),
        }
    }
}

/// How far the policy that looks at the fit is behind the best one, in each kind of column.
fn regret(rows: &[Row], cost: impl Fn(usize) -> f64) {
    // Of maps, only some keep order, so that the quickest would say nothing.
    let mut places: Vec<&str> =
        rows.iter().map(|row| row.place).filter(|place| *place != "map").collect();
    places.dedup();
    for place in places {
        let here = || (0..rows.len()).filter(|i| rows[*i].place == place);
        let Some(fitted) = here().find(|i| rows[*i].name == "fitted") else { continue };
        let Some(best) = here().min_by(|a, b| cost(*a).total_cmp(&cost(*b))) else { continue };
        println!(
            "  {place}: the best is `{}`; `fitted` takes {:.2} of it",
            rows[best].name,
            cost(fitted) / cost(best)
        );
    }
}

pub(crate) fn execute(options: &Options) -> Result<(), String> {
    let names: Vec<&str> = if options.sets.is_empty() {
        sets::NAMES.to_vec()
    } else {
        options.sets.iter().map(String::as_str).collect()
    };
    if options.counted {
        return names.iter().try_for_each(|set| rows(options, set, What::Count).map(drop));
    }
    let columns = if options.count {
        "instructions | mispredicted | D1 misses | LL misses | cycles"
    } else {
        "build ns | get ns"
    };
    println!("| set | in | model | B | B of the column | widest | {columns} | |");
    for set in names {
        if options.count {
            let rows = rows(options, set, What::Count)?;
            let counts = counts(options, set)?;
            if counts.len() != rows.len() {
                return Err(format!("{} passes for {} rows", counts.len(), rows.len()));
            }
            print(set, &rows, Some(&counts));
            regret(&rows, |i| counts[i].cycles());
        } else {
            let rows = rows(options, set, What::Time)?;
            print(set, &rows, None);
            regret(&rows, |i| rows[i].get_ns);
        }
    }
    Ok(())
}
