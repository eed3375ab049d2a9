//! A run: every map over every key set, one process each, maps taking turns.

use crate::keys::{self, Files, Set, Source};
use crate::measure::Depth;
use crate::peer::Entrant;
use crate::peers::REFERENCE;
use crate::record::{Failed, Line, Measured, Run};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};

/// A key set and how many keys of it.
pub(crate) type Cell = (&'static str, usize);

pub(crate) const QUICK: &[Cell] = &[("words", 30_000), ("urls", 30_000), ("uniform", 30_000)];
pub(crate) const STANDARD: &[Cell] = &[
    ("words", 10_000),
    ("words", 100_000),
    ("words", 1_000_000),
    ("urls", 100_000),
    ("composite", 100_000),
    ("uniform", 10_000),
    ("uniform", 100_000),
    ("uniform", 1_000_000),
    ("timestamps", 100_000),
    ("cells", 100_000),
];

/// All sets at three sizes; a walk of paths seldom finds millions.
pub(crate) fn full() -> Vec<Cell> {
    let mut cells = Vec::new();
    for set in keys::SETS.iter().filter(|set| set.name != "sosd") {
        let sizes: &[usize] = match set.name {
            "paths" => &[10_000, 100_000],
            _ => &[100_000, 1_000_000, 10_000_000],
        };
        cells.extend(sizes.iter().map(|&size| (set.name, size)));
    }
    cells
}

/// The plan's cells, narrowed to what was asked for.
pub(crate) fn choose(
    mut cells: Vec<Cell>,
    sets: &[String],
    sizes: &[usize],
    sosd: bool,
) -> Result<Vec<Cell>, String> {
    if sosd {
        cells.push(("sosd", cells.iter().map(|cell| cell.1).max().unwrap_or(0)));
    }
    if !sets.is_empty() {
        let mut chosen = Vec::new();
        for name in sets {
            let set =
                keys::find(name).ok_or_else(|| format!("there is no set `{name}`; see `list`"))?;
            let of_plan: Vec<Cell> = cells.iter().copied().filter(|cell| cell.0 == name).collect();
            if of_plan.is_empty() {
                let smallest = cells.iter().map(|cell| cell.1).min().unwrap_or(10_000);
                chosen.push((set.name, smallest));
            }
            chosen.extend(of_plan);
        }
        cells = chosen;
    }
    if !sizes.is_empty() {
        let names: Vec<&'static str> = cells.iter().map(|cell| cell.0).collect();
        let mut seen = BTreeSet::new();
        cells = Vec::new();
        for name in names.into_iter().filter(|name| seen.insert(*name)) {
            cells.extend(sizes.iter().map(|&size| (name, size)));
        }
    }
    match cells.iter().find(|cell| cell.1 == 0 || cell.1 > u32::MAX as usize / 2) {
        Some(cell) => Err(format!("{} keys cannot be held; see `scale` for more", cell.1)),
        None => Ok(cells),
    }
}

/// Sets of so many keys are measured as often as the plan says for large ones: their passes are
/// long enough to even out what the machine does meanwhile.
const LARGE: usize = 1_000_000;

impl Plan {
    fn repeats_of(&self, cell: Cell) -> u32 {
        if cell.1 >= LARGE { self.large_repeats } else { self.repeats }
    }
}

pub(crate) struct Plan {
    pub(crate) command: String,
    pub(crate) depth: Depth,
    pub(crate) repeats: u32,
    pub(crate) large_repeats: u32,
    pub(crate) cells: Vec<Cell>,
    pub(crate) entrants: Vec<Entrant>,
    pub(crate) files: Files,
    pub(crate) out: Option<PathBuf>,
    pub(crate) perf: bool,
    pub(crate) seed: u64,
    pub(crate) patience: Duration,
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Where runs are kept that were not sent elsewhere.
pub(crate) fn runs_folder() -> PathBuf {
    keys::cache_folder().join("runs")
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The versions of the measured packages, from the lock file this program was built with.
fn versions() -> BTreeMap<String, String> {
    let lock = include_str!("../../Cargo.lock");
    let mut versions = BTreeMap::new();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let start = package.find(&format!("\n{name} = \""))? + name.len() + 5;
            Some(package[start..].split('"').next()?.to_owned())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && crate::peers::ENTRANTS.iter().any(|entrant| entrant.package == name)
        {
            // Of several versions the newest stands last.
            versions.insert(name, version);
        }
    }
    versions
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    let memory = kib.map_or("unknown".to_owned(), |kib| format!("{} GiB", (kib + (1 << 19)) >> 20));
    format!("{}, {memory} of memory, {}", model.unwrap_or("unknown"), std::env::consts::OS)
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or("unknown".to_owned(), |text| text.trim().to_owned())
}

/// The file a run goes to; each line is there before the next measurement begins.
struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    fn create(path: PathBuf) -> Result<Self, String> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { file, path })
    }

    fn write(&mut self, line: &Line) -> Result<(), String> {
        let mut text = serde_json::to_string(line).map_err(|error| error.to_string())?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush()).map_err(|error| {
            format!(
                "cannot write to {}: {error}; what was measured before is kept there",
                self.path.display()
            )
        })
    }
}

/// What one process said before it ended.
struct Outcome {
    measured: Vec<Measured>,
    failure: Option<String>,
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The last line a process wrote about what went wrong: the panic's message, if it is one.
fn last_words(stderr: &Receiver<String>) -> String {
    let lines: Vec<String> = stderr.iter().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let words = match panic {
        Some(at) => lines[at..lines.len().min(at + 2)].join(" "),
        None => lines.last().cloned().unwrap_or_default(),
    };
    without_folders(words.trim_start_matches("memkv-bench: ")).chars().take(300).collect()
}

/// Absolute paths of sources without the folders that only this machine has: from the package on.
fn without_folders(text: &str) -> String {
    let shorten = |word: &str| {
        let Some((_, below)) = word.split_once("/registry/src/") else { return word.to_owned() };
        below.split_once('/').map_or(below, |(_, below)| below).to_owned()
    };
    text.split(' ').map(shorten).collect::<Vec<_>>().join(" ")
}

fn follow(mut child: Child, patience: Duration) -> Outcome {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Outcome { measured: Vec::new(), failure: Some("no pipes".to_owned()) };
    };
    let (stdout, stderr) = (lines_of(stdout), lines_of(stderr));
    let start = Instant::now();
    let mut measured = Vec::new();
    let mut failure = None;
    loop {
        match stdout.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Line::Measured(line)) => measured.push(line),
                _ => failure = Some(format!("it printed: {line}")),
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if start.elapsed() > patience || INTERRUPTED.load(Relaxed) {
                    failure = Some(format!("not done after {} s", start.elapsed().as_secs()));
                    _ = child.kill();
                    break;
                }
            }
        }
    }
    let status = child.wait();
    if failure.is_none() {
        failure = match status {
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("{status}: {}", last_words(&stderr))),
            Err(error) => Some(error.to_string()),
        };
    }
    Outcome { measured, failure }
}

fn measure_one(
    plan: &Plan,
    entrant: &Entrant,
    (set, size): Cell,
    keys: &Path,
    repeat: u32,
) -> Result<Outcome, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let depth = match plan.depth {
        Depth::Quick => "quick",
        Depth::Standard => "standard",
        Depth::Full => "full",
    };
    let mut command = Command::new(program);
    command.args(["one", "--peer", entrant.name, "--set", set, "--depth", depth]);
    command.args(["--size", &size.to_string(), "--repeat", &repeat.to_string()]);
    command.arg("--keys").arg(keys);
    if plan.perf {
        command.arg("--perf");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("cannot start a process: {error}"))?;
    Ok(follow(child, plan.patience))
}

/// Compares what maps answered where only their agreement can be checked.
struct Agreement(BTreeMap<String, String>);

impl Agreement {
    /// Takes the reference's answers in, and compares another map's.
    fn check(&mut self, measured: &mut Measured) {
        let Some(checksum) = &measured.checksum else { return };
        if measured.peer == REFERENCE {
            self.0.insert(measured.measure.clone(), checksum.clone());
        } else if let Some(right) = self.0.get(&measured.measure)
            && right != checksum
            && measured.wrong.is_none()
        {
            measured.wrong = Some(format!("checksum {checksum}, that of {REFERENCE} is {right}"));
        }
    }
}

fn fits(entrant: &Entrant, set: &Set) -> bool {
    match set.source {
        Source::Texts(_) => entrant.bytes.is_some(),
        Source::Integers(_) => entrant.integers.is_some(),
    }
}

/// The reference goes first, so that others can be compared with it.
fn turn_order(entrants: &[Entrant], set: &Set) -> Vec<Entrant> {
    let mut order: Vec<Entrant> =
        entrants.iter().copied().filter(|entrant| fits(entrant, set)).collect();
    order.sort_by_key(|entrant| entrant.name != REFERENCE);
    order
}

fn interrupted(log: &Log) -> Result<(), String> {
    if INTERRUPTED.load(Relaxed) {
        return Err(format!("interrupted; what was measured is kept in {}", log.path.display()));
    }
    Ok(())
}

struct Session<'a> {
    plan: &'a Plan,
    log: Log,
    bar: ProgressBar,
    /// Maps of which it was told what went wrong on a set.
    failed: BTreeSet<(&'static str, Cell)>,
    /// Maps that are not tried again there.
    broken: BTreeSet<(&'static str, Cell)>,
    wrong: usize,
}

impl Session<'_> {
    fn fail(&mut self, peer: &'static str, cell: Cell, reason: String) -> Result<(), String> {
        self.failed.insert((peer, cell));
        self.bar.println(format!("{peer} on {} {}: {reason}", cell.1, cell.0));
        let (set, size) = (cell.0.to_owned(), cell.1 as u64);
        self.log.write(&Line::Failed(Failed { peer: peer.to_owned(), set, size, reason }))
    }

    fn cell(&mut self, cell: Cell) -> Result<(), String> {
        let set = keys::find(cell.0).ok_or("no such set")?;
        self.bar.set_message(format!("making {} {}", cell.1, cell.0));
        let order = turn_order(&self.plan.entrants, set);
        let keys = match keys::prepare(set, cell.1, self.plan.seed, &self.plan.files) {
            Ok(keys) => keys,
            Err(reason) => {
                self.bar.inc(order.len() as u64 * u64::from(self.plan.repeats_of(cell)));
                return self.fail("all", cell, reason);
            }
        };
        let mut agreement = Agreement(BTreeMap::new());
        for repeat in 0..self.plan.repeats_of(cell) {
            for entrant in &order {
                interrupted(&self.log)?;
                self.bar.set_message(format!("{} {} {}", cell.0, cell.1, entrant.name));
                if !self.broken.contains(&(entrant.name, cell)) {
                    let outcome = measure_one(self.plan, entrant, cell, &keys, repeat)?;
                    interrupted(&self.log)?;
                    self.take(entrant.name, cell, outcome, &mut agreement)?;
                }
                self.bar.inc(1);
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        peer: &'static str,
        cell: Cell,
        outcome: Outcome,
        agreement: &mut Agreement,
    ) -> Result<(), String> {
        let mut first_wrong = None;
        for mut measured in outcome.measured {
            agreement.check(&mut measured);
            if let Some(wrong) = &measured.wrong {
                self.wrong += 1;
                let text = format!("wrong answer in {}: {wrong}", measured.measure);
                first_wrong.get_or_insert(text);
            }
            self.log.write(&Line::Measured(measured))?;
        }
        // What a map answers rightly is measured on; a map that broke down is left alone.
        if let Some(reason) = outcome.failure {
            self.broken.insert((peer, cell));
            return self.fail(peer, cell, reason);
        }
        match first_wrong.filter(|_| !self.failed.contains(&(peer, cell))) {
            Some(reason) => self.fail(peer, cell, reason),
            None => Ok(()),
        }
    }
}

pub(crate) fn execute(plan: &Plan) -> Result<(), String> {
    let start = Instant::now();
    let started = seconds_since_1970();
    let default_path = || runs_folder().join(format!("{}-{started}.jsonl", plan.command));
    let mut log = Log::create(plan.out.clone().unwrap_or_else(default_path))?;
    ctrlc::set_handler(|| INTERRUPTED.store(true, Relaxed)).map_err(|error| error.to_string())?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    log.write(&Line::Run(Run {
        command: format!("cargo run --release -p memkv-bench -- {}", arguments.join(" ")),
        started,
        repeats: plan.repeats,
        seed: plan.seed,
        machine: machine(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        compiler: compiler(),
        versions: versions(),
    }))?;
    if plan.perf && crate::perf::count(1, || ()).is_empty() {
        eprintln!("--perf: the kernel lets no counter be read here; the run goes on without");
    }
    let turns = |&cell: &Cell| {
        let maps = keys::find(cell.0).map_or(0, |set| turn_order(&plan.entrants, set).len());
        maps as u64 * u64::from(plan.repeats_of(cell))
    };
    let total: u64 = plan.cells.iter().map(turns).sum();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed}, {eta} left  {msg}");
    let bar = ProgressBar::new(total).with_style(style.map_err(|error| error.to_string())?);
    let mut session =
        Session { plan, log, bar, failed: BTreeSet::new(), broken: BTreeSet::new(), wrong: 0 };
    for &cell in &plan.cells {
        session.cell(cell)?;
    }
    session.bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    session.log.write(&Line::Finished { seconds })?;
    let path = session.log.path.display();
    println!("{total} processes in {seconds:.0} s; the run is in {path}");
    println!("{} maps failed on a key set; {} wrong answers", session.failed.len(), session.wrong);
    println!("For tables and charts: cargo run --release -p memkv-bench -- report {path}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Agreement, choose, versions, without_folders};
    use crate::record::Measured;
    use std::collections::BTreeMap;

    #[test]
    fn sets_and_sizes_narrow_a_plan() {
        let plan = vec![("words", 10), ("words", 20), ("urls", 10)];
        let texts = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let words = choose(plan.clone(), &texts(&["words"]), &[], false).unwrap();
        assert_eq!(words, [("words", 10), ("words", 20)]);
        let sized = choose(plan.clone(), &[], &[5], false).unwrap();
        assert_eq!(sized, [("words", 5), ("urls", 5)]);
        let other = choose(plan.clone(), &texts(&["dense"]), &[], false).unwrap();
        assert_eq!(other, [("dense", 10)]);
        assert!(choose(plan.clone(), &texts(&["no"]), &[], false).is_err());
        assert!(choose(plan, &[], &[0], false).is_err());
    }

    #[test]
    fn a_map_that_answers_unlike_the_reference_is_wrong() {
        let mut agreement = Agreement(BTreeMap::new());
        let mut measured = |peer: &str, checksum: &str| {
            let mut measured = Measured {
                peer: peer.into(),
                set: "words".into(),
                size: 1,
                repeat: 0,
                measure: "ycsb_a".into(),
                value: 1.0,
                checksum: Some(checksum.into()),
                wrong: None,
            };
            agreement.check(&mut measured);
            measured.wrong
        };
        assert_eq!(measured("btreemap", "1:2"), None);
        assert_eq!(measured("blart", "1:2"), None);
        let wrong = measured("blart", "1:3").unwrap();
        assert!(wrong.contains("1:3") && wrong.contains("1:2"), "{wrong}");
    }

    #[test]
    fn messages_name_packages_and_no_folder_of_this_machine() {
        let text = "panicked at /home/me/.cargo/registry/src/host-12/fst-0.4.7/src/a.rs:5:1: full";
        assert_eq!(without_folders(text), "panicked at fst-0.4.7/src/a.rs:5:1: full");
        assert_eq!(without_folders("at bench/src/a.rs: no"), "at bench/src/a.rs: no");
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        assert_eq!(versions().get("fst").map(String::as_str), Some("0.4.7"));
        assert!(versions().contains_key("memkv"));
    }
}
