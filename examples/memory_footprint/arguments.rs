//! The command line.

use crate::common::random::Values;
use crate::measure::Structure;
use std::path::PathBuf;

const HELP: &str = "\
Memory and speed of MemKV beside BTreeMap, HashMap and fst, on real keys.

cargo run --release --example memory_footprint -- [SOURCE] [OPTIONS]

Sources of keys (default: the word list that comes with the repository)
  --keys FILE              one key a line, as bytes; repetitions are removed
  --walk DIR               the path of everything below a folder
  --integers N KIND        N integers: uniform, dense, clustered or timestamps

Options
  --limit N                at most N of the keys, drawn by the seed
  --value-bits N           values below 2^N (default 64)
  --seed S                 seed of the load order, values and probes (default 1)
  --passes N               timed passes, of which the best counts (default 3)
  --help                   this text
";

/// What to do.
pub(crate) enum Arguments {
    /// Compare all structures and print the table.
    Compare(Options),
    /// Measure one structure on keys from stdin; for the program's own children.
    Measure(Structure),
}

/// How to compare.
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) limit: Option<usize>,
    pub(crate) values: Values,
    pub(crate) passes: usize,
}

/// Where the keys come from.
pub(crate) enum Source {
    ShippedWords,
    File(PathBuf),
    Folder(PathBuf),
    Integers { count: usize, spread: Spread },
}

/// How integer keys lie among all integers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spread {
    Uniform,
    Dense,
    Clustered,
    Timestamps,
}

impl Spread {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "uniform" => Ok(Self::Uniform),
            "dense" => Ok(Self::Dense),
            "clustered" => Ok(Self::Clustered),
            "timestamps" => Ok(Self::Timestamps),
            _ => Err("choose uniform, dense, clustered or timestamps".to_owned()),
        }
    }
}

impl Arguments {
    pub(crate) fn from_command_line() -> Result<Self, String> {
        Self::parse(lexopt::Parser::from_env())
            .map_err(|error| format!("{error}; --help lists what is possible"))
    }

    fn parse(mut parser: lexopt::Parser) -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Options {
            source: Source::ShippedWords,
            limit: None,
            values: Values::from(1),
            passes: 3,
        };
        let mut sources = 0;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("keys") => {
                    options.source = Source::File(parser.value()?.into());
                    sources += 1;
                }
                Long("walk") => {
                    options.source = Source::Folder(parser.value()?.into());
                    sources += 1;
                }
                Long("integers") => {
                    let count = parser.value()?.parse()?;
                    let spread = parser.value()?.parse_with(Spread::parse)?;
                    options.source = Source::Integers { count, spread };
                    sources += 1;
                }
                Long("limit") => options.limit = Some(parser.value()?.parse()?),
                Long("seed") => options.values.seed = parser.value()?.parse()?,
                Long("value-bits") => {
                    let bits: u32 = parser.value()?.parse()?;
                    if !(1..=u64::BITS).contains(&bits) {
                        return Err("values have 1 to 64 bits".into());
                    }
                    options.values.bits = bits;
                }
                Long("passes") => options.passes = parser.value()?.parse()?,
                Long("measure") => {
                    let structure = parser.value()?.parse_with(Structure::from_token)?;
                    return Ok(Self::Measure(structure));
                }
                Long("help") | Short('h') => {
                    print!("{HELP}");
                    std::process::exit(0);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        if sources > 1 {
            return Err("give one of --keys, --walk and --integers".into());
        }
        if options.passes == 0 {
            return Err("at least one pass is needed".into());
        }
        Ok(Self::Compare(options))
    }
}
