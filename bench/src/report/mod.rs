//! Tables and charts of a run.

mod charts;
mod results;
mod tables;

pub(crate) use results::Results;

use crate::{record, run};
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct Options {
    /// Runs to report on, later ones over earlier ones; the newest one if none is named
    runs: Vec<PathBuf>,
    /// Where the tables go
    #[arg(long, default_value = "BENCHMARKS.md", value_name = "FILE")]
    out: PathBuf,
    /// Where the charts go, seen from the tables
    #[arg(long, default_value = "bench/charts", value_name = "FOLDER")]
    charts: PathBuf,
}

/// The run that was written last.
fn newest_run() -> Result<PathBuf, String> {
    let folder = run::runs_folder();
    let listing = std::fs::read_dir(&folder).map_err(|_| {
        format!("there is no run in {}; make one with `memkv-bench quick`", folder.display())
    })?;
    let files = listing.flatten().map(|entry| entry.path());
    let runs = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let written = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    runs.max_by_key(written).ok_or_else(|| format!("there is no run in {}", folder.display()))
}

fn save(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn execute(options: &Options) -> Result<(), String> {
    let runs = if options.runs.is_empty() { vec![newest_run()?] } else { options.runs.clone() };
    let mut results = Results::default();
    for path in &runs {
        results.add(record::read(path)?);
    }
    if results.cells.is_empty() {
        return Err("there is no measurement in what was named".to_owned());
    }
    let beside = options.out.parent().unwrap_or(Path::new(""));
    let folder = beside.join(&options.charts);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let charts = charts::all(&results)?;
    for chart in &charts {
        save(&folder.join(&chart.file), &chart.svg)?;
    }
    save(&options.out, &tables::document(&results, &charts, &options.charts))?;
    println!("{} and {} charts in {}", options.out.display(), charts.len(), folder.display());
    Ok(())
}
