//! Times of all structures in one process, pass by pass in turn, and the check of their answers.

use crate::arguments::Options;
use crate::common::keys::{KeyList, Keys};
use crate::common::peers::{Ours, PeerMut, Peers};
use crate::common::probe::{Answers, Passes, Subject, Timed, load, time};
use crate::common::random::{Random, Values, value_of};
use crate::measure::{Structure, never_folding, smallest};
use indicatif::ProgressBar;

/// Probes in one pass, at most.
const PROBES: usize = 1_000_000;

/// Nanoseconds of one structure; a measure that makes no sense for it has no passes.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) hit: Passes,
    pub(crate) chained: Passes,
    pub(crate) miss: Passes,
    pub(crate) scan: Passes,
    pub(crate) insert: Passes,
}

/// What the passes showed.
pub(crate) struct Race {
    /// In the order of [`Structure::ALL`].
    pub(crate) times: Vec<Times>,
    pub(crate) probes: usize,
    pub(crate) misses: usize,
    /// Nanoseconds a key to build the transducer from sorted keys.
    pub(crate) fst_build: f64,
}

/// A filled structure in the race.
struct Runner<L: KeyList> {
    structure: Structure,
    subject: Box<dyn Subject<L>>,
    insert: Option<f64>,
}

/// Steps of the progress bar that [`run`] makes.
pub(crate) fn steps(passes: usize) -> usize {
    1 + passes * Structure::ALL.len() + (passes - 1)
}

/// Builds all structures, times them in turn, compares what they answer.
pub(crate) fn run<L: Peers>(
    keys: &L,
    options: &Options,
    random: &mut Random,
    progress: &ProgressBar,
) -> Result<Race, String> {
    let sorted = keys.sorted_positions();
    let probes = keys.hits(PROBES, random);
    let misses = keys.near_misses(probes.len(), random);
    let mut race = Race {
        times: Structure::ALL.iter().map(|_| Times::default()).collect(),
        probes: probes.len(),
        misses: misses.len(),
        fst_build: 0.0,
    };

    progress.set_message("loading");
    let mut runners = Vec::new();
    for structure in Structure::ALL {
        let runner = build(structure, keys, &sorted, options.values, &mut race.fst_build)?;
        runner.subject.check_order_of(structure, keys, &sorted, options.values)?;
        runners.push(runner);
    }
    keep_insert_times(&runners, &mut race.times);
    progress.inc(1);

    let mut expected = Expected::default();
    for pass in 0..options.passes {
        if pass > 0 {
            progress.set_message("inserts");
            let again =
                Structure::ALL.into_iter().filter(|&structure| is_filled_by_insert(structure));
            for structure in again {
                let runner = build(structure, keys, &sorted, options.values, &mut 0.0)?;
                keep_insert_times(std::slice::from_ref(&runner), &mut race.times);
            }
            progress.inc(1);
        }
        for turn in 0..runners.len() {
            // Another one starts each pass, so that none always follows the same neighbour.
            let at = (turn + pass) % runners.len();
            let Runner { structure, subject, .. } = &runners[at];
            progress.set_message(format!("gets and scans of {}", structure.name()));
            let times = &mut race.times[at];
            let seen = [
                keep(&mut times.hit, subject.get_each(&probes)),
                keep(&mut times.chained, subject.get_chained(&probes)),
                keep(&mut times.miss, subject.get_each(&misses)),
                keep(&mut times.scan, subject.scan()),
            ];
            expected.check(*structure, seen)?;
            progress.inc(1);
        }
    }
    expected.check_counts(probes.len(), keys.len())?;
    Ok(race)
}

fn keep(passes: &mut Passes, timed: Timed) -> Answers {
    passes.push(timed.ns);
    timed.answers
}

fn keep_insert_times<L: KeyList>(runners: &[Runner<L>], times: &mut [Times]) {
    for runner in runners {
        let row = Structure::ALL.iter().position(|&structure| structure == runner.structure);
        if let (Some(row), Some(ns)) = (row, runner.insert) {
            times[row].insert.push(ns);
        }
    }
}

fn is_filled_by_insert(structure: Structure) -> bool {
    match structure {
        Structure::AtRest | Structure::Delta | Structure::BTreeMap | Structure::HashMap => true,
        // Two are loaded like `AtRest`, the other cannot be loaded in random order.
        Structure::Compacted | Structure::Smallest | Structure::Fst => false,
    }
}

fn build<L: Peers>(
    structure: Structure,
    keys: &L,
    sorted: &[u32],
    values: Values,
    fst_build: &mut f64,
) -> Result<Runner<L>, String> {
    let (subject, insert): (Box<dyn Subject<L>>, f64) = match structure {
        Structure::AtRest => {
            let (map, ns) = filled(L::MemKV::set_up(memkv::Options::default()), keys, values);
            map.wait_for_rest();
            (Box::new(map), ns)
        }
        Structure::Compacted | Structure::Smallest => {
            let is_small = structure == Structure::Smallest;
            let options = if is_small { smallest() } else { memkv::Options::default() };
            let (map, ns) = filled(L::MemKV::set_up(options), keys, values);
            map.fold_all()?;
            map.wait_for_rest();
            (Box::new(map), ns)
        }
        Structure::Delta => {
            let (map, ns) = filled(L::MemKV::set_up(never_folding()), keys, values);
            (Box::new(map), ns)
        }
        Structure::BTreeMap => {
            let (map, ns) = filled(L::Tree::default(), keys, values);
            (Box::new(map), ns)
        }
        Structure::HashMap => {
            let (map, ns) = filled(L::Hash::default(), keys, values);
            (Box::new(map), ns)
        }
        Structure::Fst => {
            let build = || keys.build_fst(sorted, |index| value_of(values, index));
            let (ns, map) = time(keys.len(), build);
            *fst_build = ns;
            (Box::new(map?), ns)
        }
    };
    let insert = is_filled_by_insert(structure).then_some(insert);
    Ok(Runner { structure, subject, insert })
}

fn filled<L: Peers, P: PeerMut<L::Key>>(mut map: P, keys: &L, values: Values) -> (P, f64) {
    let ns = load(&mut map, keys, values);
    (map, ns)
}

/// Checks of order that know which structures have one.
trait CheckOrder<L: Keys> {
    fn check_order_of(
        &self,
        structure: Structure,
        keys: &L,
        sorted: &[u32],
        values: Values,
    ) -> Result<(), String>;
}

impl<L: Keys> CheckOrder<L> for dyn Subject<L> {
    fn check_order_of(
        &self,
        structure: Structure,
        keys: &L,
        sorted: &[u32],
        values: Values,
    ) -> Result<(), String> {
        if structure == Structure::HashMap {
            return Ok(());
        }
        self.check_order(keys, sorted, values)
            .map_err(|error| format!("{} answers wrongly: {error}", structure.name()))
    }
}

/// The answers that the first structure gave; all others must give the same.
#[derive(Default)]
struct Expected(Option<[Answers; 4]>);

impl Expected {
    const KINDS: [&str; 4] = ["hits", "chained hits", "misses", "the scan"];

    fn check(&mut self, structure: Structure, seen: [Answers; 4]) -> Result<(), String> {
        let expected = self.0.get_or_insert(seen);
        for ((kind, expected), seen) in Self::KINDS.iter().zip(expected).zip(seen) {
            if *expected != seen {
                return Err(format!(
                    "wrong answers: {} differs from the others in {kind}: {seen:?} instead of \
                     {expected:?}",
                    structure.name()
                ));
            }
        }
        Ok(())
    }

    /// Checks the common answers themselves: all probes found, no miss found, all entries seen.
    fn check_counts(&self, probes: usize, keys: usize) -> Result<(), String> {
        let Some([hits, chained, misses, scan]) = self.0 else {
            return Ok(());
        };
        let found = [hits.found, chained.found, misses.found, scan.found];
        if found != [probes as u64, probes as u64, 0, keys as u64] {
            return Err(format!("wrong answers: all structures alike found {found:?}"));
        }
        if hits != chained {
            return Err("wrong answers: chained gets differ from single ones".to_owned());
        }
        Ok(())
    }
}
