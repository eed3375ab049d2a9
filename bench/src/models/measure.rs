//! Each model over each column, one after the other.

use super::columns::{BLOCK, Column, Elias, PIECE, Packed, Raw};
use super::model::{Blocks, Hybrid, Hybridization, Model, ModelOf, Searched, Whole, learn};
use super::pla::Pla;
use super::policy::{Fitted, Pgm, RadixSpline, SplineOverBlocks};
use super::spline::Radix;
use super::statics;
use super::tree::{Eights, Tree};
use super::twin::{EightsBlocks, RadixLines};
use crate::random::Random;
use std::hint::black_box;
use std::time::Instant;

/// The functions whose costs callgrind tells, one call after the other.
pub(super) const COUNTED: [&str; 3] = [
    concat!(module_path!(), "::counted_pass"),
    concat!(module_path!(), "::counted_pass_of_windows"),
    statics::COUNTED,
];

/// What this thread takes: of the processor, where the kernel tells it, so that other work on the
/// machine counts less.
pub(super) struct Clock {
    start: Instant,
    busy: Option<f64>,
}

/// The kernel tells it in steps of some milliseconds: what takes less is measured by the clock.
const COARSE_NS: f64 = 5e7;

fn busy_ns() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), busy: busy_ns() }
    }

    pub(super) fn ns(&self) -> f64 {
        let busy = self.busy.and_then(|start| Some(busy_ns()? - start));
        let busy = busy.filter(|ns| *ns > COARSE_NS);
        busy.unwrap_or(self.start.elapsed().as_nanos() as f64)
    }
}

/// What is measured of each.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum What {
    /// Times.
    Time,
    /// One pass that callgrind counts.
    Count,
}

/// A model over a column, or a map.
pub(super) struct Row {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    /// Of the model, or of the whole map.
    pub(super) bytes: f64,
    /// Of the column, or nothing.
    pub(super) column_bytes: f64,
    pub(super) widest: usize,
    pub(super) build_ns: f64,
    pub(super) get_ns: f64,
    pub(super) note: String,
}

/// What is asked.
pub(super) struct Probes {
    pub(super) warm: Vec<u64>,
    pub(super) asked: Vec<u64>,
    pub(super) what: What,
    /// The kinds of columns that are asked; all if there are none.
    pub(super) places: Vec<String>,
}

impl Probes {
    pub(super) fn new(keys: &[u64], count: usize, what: What, places: &[String]) -> Self {
        let mut random = Random::new(0x90be);
        let mut draw = || (0..count).map(|_| keys[random.below(keys.len())]).collect();
        Self { warm: draw(), asked: draw(), what, places: places.to_vec() }
    }

    fn is_asked(&self, place: &str) -> bool {
        self.places.is_empty() || self.places.iter().any(|asked| asked == place)
    }

    /// Nanoseconds for a probe, the best of a few passes; once only, where callgrind counts.
    pub(super) fn ask(&self, mut pass: impl FnMut(&[u64]) -> u64) -> f64 {
        const PASSES: usize = 5;
        let mut best = f64::INFINITY;
        for _ in 0..if self.what == What::Time { PASSES } else { 1 } {
            let clock = Clock::start();
            black_box(pass(&self.asked));
            best = best.min(clock.ns() / self.asked.len() as f64);
        }
        best
    }
}

/// Gets of which each has to wait for the one before.
#[inline(never)]
fn counted_pass<M: Model, C: Column>(model: &M, column: &C, probes: &[u64]) -> u64 {
    chain(model, column, probes)
}

#[inline(always)]
fn chain<M: Model, C: Column>(model: &M, column: &C, probes: &[u64]) -> u64 {
    let (mut sum, mut last) = (0, 0);
    for probe in probes {
        // Never changes the probe, but nobody knows that before the answer is there.
        let probe = probe ^ u64::from(last == usize::MAX);
        let (at, is_there) = column.lower_bound(probe, model.window(probe));
        last = at;
        sum += at as u64 + u64::from(is_there);
    }
    sum
}

/// The windows alone.
#[inline(never)]
fn counted_pass_of_windows<M: Model>(model: &M, probes: &[u64]) -> u64 {
    probes.iter().map(|probe| model.window(*probe).from as u64).fold(0, u64::wrapping_add)
}

struct Run<'a> {
    keys: &'a [u64],
    probes: &'a Probes,
    emit: &'a mut dyn FnMut(Row),
}

impl Run<'_> {
    fn ask<M: Model, C: Column>(
        &mut self,
        (place, name): (&'static str, &'static str),
        (model, build_ns): (&M, f64),
        column: &C,
    ) {
        for (at, key) in self.keys.iter().enumerate().step_by(997) {
            assert_eq!(column.lower_bound(*key, model.window(*key)), (at, true), "{place} {name}");
        }
        black_box(chain(model, column, &self.probes.warm));
        let get_ns = self.probes.ask(|probes| counted_pass(model, column, probes));
        let count = self.keys.len() as f64;
        let bytes = model.bytes() as f64 / count;
        let column_bytes = column.bytes() as f64 / count;
        let widest = model.widest();
        let note = String::new();
        (self.emit)(Row { place, name, bytes, column_bytes, widest, build_ns, get_ns, note });
    }

    fn learn<H: Hybridization>(&self) -> (ModelOf<H>, f64) {
        let clock = Clock::start();
        let model = learn::<H>(self.keys.iter().copied());
        (model, clock.ns() / self.keys.len() as f64)
    }

    /// A policy and what it comes to by hand: their windows alone.
    fn twins<M: Model, T: Model>(&mut self, names: [&'static str; 2], model: M, twin: fn(M) -> T) {
        let probes = self.probes;
        probes.warm.iter().for_each(|probe| _ = black_box(model.window(*probe)));
        let get_ns = probes.ask(|probes| counted_pass_of_windows(&model, probes));
        let mut emit = |name, bytes: usize, get_ns| {
            let bytes = bytes as f64 / self.keys.len() as f64;
            let row = Row {
                place: "window",
                name,
                bytes,
                column_bytes: 0.0,
                widest: 0,
                build_ns: 0.0,
                get_ns,
                note: String::new(),
            };
            (self.emit)(row);
        };
        emit(names[0], model.bytes(), get_ns);
        let twin = twin(model);
        let get_ns = probes.ask(|probes| counted_pass_of_windows(&twin, probes));
        emit(names[1], twin.bytes(), get_ns);
    }
}

macro_rules! every_model {
    ($run:ident, $place:literal, $column:ty, $blocks:expr, $error:expr) => {
        if $run.probes.is_asked($place) {
            let column = <$column>::of($run.keys);
            every_model!(@each $run, $place, column,
                "tree of 8" => Hybrid<Eights, Blocks<{ $blocks }>>,
                "tree" => Hybrid<Tree, Blocks<{ $blocks }>>,
                "lines" => Hybrid<Searched<Whole>, Pla<$error>>,
                "tree, lines" => Hybrid<Tree, Pla<$error>>,
                "radix, lines" => Hybrid<Searched<Radix>, Pla<$error>>,
                "pgm" => Pgm<$error>,
                "radixspline" => RadixSpline<$error>,
                "spline, blocks" => SplineOverBlocks<{ $blocks }>,
                "fitted" => Fitted<{ $blocks }, $error>);
        }
    };
    (@each $run:ident, $place:literal, $column:ident, $($name:literal => $policy:ty),*) => {
        $(
            let (model, build_ns) = $run.learn::<$policy>();
            $run.ask(($place, $name), (&model, build_ns), &$column);
        )*
    };
}

/// Keys of a block of plain keys: two cache lines.
const PLAIN: usize = 16;

pub(super) fn models(keys: &[u64], probes: &Probes, emit: &mut dyn FnMut(Row)) {
    let mut run = Run { keys, probes, emit };
    every_model!(run, "plain", Raw, PLAIN, 16);
    every_model!(run, "packed", Packed, BLOCK, 16);
    every_model!(run, "elias-fano", Elias, PIECE, 64);
    if !probes.is_asked("window") {
        return;
    }
    let model = run.learn::<Hybrid<Searched<Radix>, Pla<16>>>().0;
    run.twins(["radix, lines", "by hand"], model, RadixLines::of);
    let model = run.learn::<Hybrid<Eights, Blocks<16>>>().0;
    run.twins(["tree of 8", "by hand"], model, EightsBlocks::of);
}

pub(super) fn maps(keys: &[u64], probes: &Probes, emit: &mut dyn FnMut(Row)) {
    statics::all(keys, probes, emit);
}
