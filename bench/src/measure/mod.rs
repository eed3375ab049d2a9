//! The measurements of one map over one key set, in a process of its own.

mod check;
mod memory;
mod mixed;
mod reads;
mod store;
mod threads;
mod writes;

use crate::keys::{KeySet, Loaded};
use crate::kind::Kind;
use crate::peer::{Entrant, Made, Maker};
use std::time::Instant;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Depth {
    /// Memory, loading, gets, walks.
    Quick,
    /// All of it.
    Standard,
    /// All of it, for longer.
    Full,
}

impl Depth {
    fn probes(self) -> usize {
        match self {
            Self::Quick => 20_000,
            Self::Standard => 100_000,
            Self::Full => 200_000,
        }
    }
}

/// A figure, and what the map answered on the way.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) measure: String,
    pub(crate) value: f64,
    pub(crate) checksum: Option<String>,
    pub(crate) wrong: Option<String>,
}

/// Where figures go, as soon as they are known.
pub(crate) struct Sink<'a>(pub(crate) &'a mut dyn FnMut(Figure));

impl Sink<'_> {
    fn number(&mut self, measure: &str, value: f64) {
        self.answered(measure, value, None, None);
    }

    fn answered(
        &mut self,
        measure: &str,
        value: f64,
        checksum: Option<String>,
        wrong: Option<String>,
    ) {
        (self.0)(Figure { measure: measure.to_owned(), value, checksum, wrong });
    }
}

/// Everything a measurement needs to know.
pub(crate) struct Task<'a, K: Kind + ?Sized> {
    pub(crate) entrant: &'a Entrant,
    pub(crate) maker: Maker<K>,
    pub(crate) set: &'a KeySet<K>,
    pub(crate) depth: Depth,
    pub(crate) perf: bool,
}

impl<K: Kind + ?Sized> Task<'_, K> {
    /// The map with all entries, by its first way of being made.
    fn build(&self) -> Made<K> {
        if let Some(empty) = self.maker.empty {
            let mut peer = empty(&self.set.entries)?;
            peer.load(&self.set.entries);
            return Ok(peer);
        }
        match self.maker.bulk {
            Some(bulk) => bulk(&self.set.entries),
            None => Err("this map cannot be made".to_owned()),
        }
    }

    fn probes(&self) -> usize {
        self.depth.probes().min(self.set.entries.len())
    }
}

/// Nanoseconds that `work` takes for each of `items`, and its result.
fn time<R>(items: usize, work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = std::hint::black_box(work());
    (start.elapsed().as_nanos() as f64 / items.max(1) as f64, result)
}

/// Passes are made until they have taken so long together: a short one is easily disturbed.
const ENOUGH_NS: f64 = 8e6;

/// The shortest of two or more passes: the first one also warms what a program in use has warm.
fn best_pass<R>(items: usize, mut work: impl FnMut() -> R) -> (f64, R) {
    let (mut best, _) = time(items, &mut work);
    let mut spent = best * items as f64;
    loop {
        let (ns, result) = time(items, &mut work);
        best = best.min(ns);
        spent += ns * items as f64;
        if spent >= ENOUGH_NS || items == 0 {
            return (best, result);
        }
    }
}

fn run_kind<K: Kind + ?Sized>(task: &Task<'_, K>, sink: &mut Sink<'_>) -> Result<(), String> {
    memory::measure(task, sink)?;
    let mut peer = writes::measure_loading(task, sink)?;
    let walking = reads::measure(task, peer.as_ref(), sink);
    if task.depth > Depth::Quick {
        store::measure(task, peer.as_ref(), sink)?;
        if task.entrant.abilities.insert {
            mixed::measure(task, peer.as_mut(), walking, sink);
            writes::measure_changes(task, peer.as_mut(), sink);
        }
        drop(peer);
        if task.entrant.abilities.share {
            threads::measure(task, sink)?;
        }
    }
    Ok(())
}

/// Measures one map over one key set.
pub(crate) fn run(
    entrant: &Entrant,
    loaded: &Loaded,
    depth: Depth,
    perf: bool,
    sink: &mut Sink<'_>,
) -> Result<(), String> {
    let unfit = || format!("{} has no use for such keys", entrant.name);
    match loaded {
        Loaded::Texts(set) => {
            let maker = entrant.bytes.ok_or_else(unfit)?;
            run_kind(&Task { entrant, maker, set, depth, perf }, sink)
        }
        Loaded::Integers(set) => {
            let maker = entrant.integers.ok_or_else(unfit)?;
            run_kind(&Task { entrant, maker, set, depth, perf }, sink)
        }
    }
}
