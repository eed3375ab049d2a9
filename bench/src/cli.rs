//! The command line.

use crate::keys::{self, Files};
use crate::measure::{Depth, Sink};
use crate::run::{self, Plan};
use crate::{compare, models, peers, record, report, scale};
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Parser)]
#[command(version, about = "Measures MemKV beside other maps")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// About two minutes: memory, loading, gets and walks on three sets of 30,000 keys
    Quick(Choices),
    /// About half an hour: everything, on sets of 10,000 to 1,000,000 keys
    Standard(Choices),
    /// Hours: everything, on all sets, up to 10,000,000 keys
    Full(Choices),
    /// MemKV alone: 1.25 billion integers and 100 million URLs, streamed into segments
    Scale(scale::Options),
    /// Models of integer keys beside each other: lines, splines, trees, over three kinds of columns
    Models(models::Options),
    /// Turns a run into BENCHMARKS.md and charts
    Report(report::Options),
    /// Compares two runs of the same plan
    Compare { old: PathBuf, new: PathBuf },
    /// Lists the maps and the key sets
    List,
    /// One map over one key set, in this process; prints a line for each measurement
    #[command(hide = true)]
    One(One),
}

#[derive(Args)]
struct Choices {
    /// Only these maps
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    peers: Vec<String>,
    /// Only these key sets, at all sizes of the plan
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    sets: Vec<String>,
    /// These numbers of keys instead of the plan's
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    sizes: Vec<usize>,
    /// How often each map is measured; maps take turns
    #[arg(long)]
    repeats: Option<u32>,
    /// Where the run is written
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A word list for the set `words`, one a line
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// The folder whose paths make the set `paths`
    #[arg(long, value_name = "FOLDER")]
    walk: Option<PathBuf>,
    /// A file of 64-bit integers in SOSD's format; adds the set `sosd`
    #[arg(long, value_name = "FILE")]
    sosd: Option<PathBuf>,
    /// Also instructions, cache and TLB misses, where the kernel lets them be read
    #[arg(long)]
    perf: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds after which a measurement is given up
    #[arg(long, default_value_t = 900)]
    patience: u64,
}

#[derive(Args)]
struct One {
    #[arg(long)]
    peer: String,
    #[arg(long)]
    set: String,
    #[arg(long)]
    keys: PathBuf,
    #[arg(long)]
    depth: Depth,
    #[arg(long)]
    perf: bool,
    #[arg(long)]
    size: u64,
    #[arg(long)]
    repeat: u32,
}

impl Choices {
    fn plan(self, name: &str) -> Result<Plan, String> {
        let (depth, repeats, cells) = match name {
            "quick" => (Depth::Quick, 5, run::QUICK.to_vec()),
            "standard" => (Depth::Standard, 3, run::STANDARD.to_vec()),
            _ => (Depth::Full, 3, run::full()),
        };
        let files = Files { words: self.words, walk: self.walk, sosd: self.sosd };
        let entrants = if self.peers.is_empty() {
            peers::ENTRANTS.to_vec()
        } else {
            let find = |name: &String| {
                peers::find(name).ok_or_else(|| format!("there is no map `{name}`; see `list`"))
            };
            self.peers.iter().map(find).collect::<Result<_, _>>()?
        };
        Ok(Plan {
            command: name.to_owned(),
            depth,
            repeats: self.repeats.unwrap_or(repeats).max(1),
            large_repeats: self.repeats.unwrap_or(1).max(1),
            cells: run::choose(cells, &self.sets, &self.sizes, files.sosd.is_some())?,
            entrants,
            files,
            out: self.out,
            perf: self.perf,
            seed: self.seed,
            patience: Duration::from_secs(self.patience),
        })
    }
}

fn list() {
    println!("Maps");
    for entrant in peers::ENTRANTS {
        println!("  {:<16} {}", entrant.name, entrant.note);
    }
    println!("\nKey sets, kept in {}", keys::cache_folder().display());
    for set in keys::SETS {
        println!("  {:<16} {}", set.name, set.title);
    }
}

fn one(arguments: &One) -> Result<(), String> {
    let entrant = peers::find(&arguments.peer).ok_or("no such map")?;
    let set = keys::find(&arguments.set).ok_or("no such set")?;
    let loaded = keys::load(set, &arguments.keys)?;
    let mut refused = None;
    let mut emit = |figure: crate::measure::Figure| {
        let line = record::Line::Measured(record::Measured {
            peer: arguments.peer.clone(),
            set: arguments.set.clone(),
            size: arguments.size,
            repeat: arguments.repeat,
            measure: figure.measure,
            value: figure.value,
            checksum: figure.checksum,
            wrong: figure.wrong,
        });
        let text = serde_json::to_string(&line).unwrap_or_default();
        let mut stdout = std::io::stdout().lock();
        let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        refused = refused.take().or(written.err());
    };
    crate::measure::run(&entrant, &loaded, arguments.depth, arguments.perf, &mut Sink(&mut emit))?;
    refused.map_or(Ok(()), |error| Err(format!("cannot print: {error}")))
}

pub(crate) fn main() -> Result<(), String> {
    match Cli::parse().command {
        Command::Quick(choices) => run::execute(&choices.plan("quick")?),
        Command::Standard(choices) => run::execute(&choices.plan("standard")?),
        Command::Full(choices) => run::execute(&choices.plan("full")?),
        Command::Scale(options) => scale::execute(&options),
        Command::Models(options) => models::execute(&options),
        Command::Report(options) => report::execute(&options),
        Command::Compare { old, new } => compare::execute(&old, &new),
        Command::List => {
            list();
            Ok(())
        }
        Command::One(arguments) => one(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
