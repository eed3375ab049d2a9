//! Memory of one structure, alone in a process of its own.

use crate::common::alloc::{heap_count, reset_peak, start_counting};
use crate::common::keys::KeyList;
use crate::common::peers::{Ours, Peer, PeerMut, Peers};
use crate::common::probe::load;
use crate::common::random::{Values, value_of};
use crate::source::{KeySet, Packed, receive};
use memkv::{Compaction, MemoryUsage, Options, Profile, Stats};
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Structure {
    /// MemKV in background mode, once its compactor has come to rest.
    AtRest,
    /// MemKV after `compact()`.
    Compacted,
    /// MemKV made for the fewest bytes, after `compact()`.
    Smallest,
    /// MemKV that never folds: the radix tree alone.
    Delta,
    BTreeMap,
    HashMap,
    Fst,
}

impl Structure {
    pub(crate) const ALL: [Self; 7] = [
        Self::AtRest,
        Self::Compacted,
        Self::Smallest,
        Self::Delta,
        Self::BTreeMap,
        Self::HashMap,
        Self::Fst,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AtRest => "MemKV",
            Self::Compacted => "MemKV compact()",
            Self::Smallest => "MemKV smallest",
            Self::Delta => "MemKV delta alone",
            Self::BTreeMap => "BTreeMap",
            Self::HashMap => "HashMap",
            Self::Fst => "fst::Map",
        }
    }

    fn token(self) -> &'static str {
        match self {
            Self::AtRest => "at-rest",
            Self::Compacted => "compacted",
            Self::Smallest => "smallest",
            Self::Delta => "delta",
            Self::BTreeMap => "btreemap",
            Self::HashMap => "hashmap",
            Self::Fst => "fst",
        }
    }

    pub(crate) fn from_token(token: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|structure| structure.token() == token);
        found.ok_or_else(|| format!("there is no structure {token:?}"))
    }
}

/// Bytes that one structure takes, all keys together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Footprint {
    /// Heap bytes with the allocator's slack.
    pub(crate) all_in: f64,
    /// Heap bytes as requested.
    pub(crate) requested: f64,
    /// Most heap bytes at any time of the load.
    pub(crate) peak: f64,
    /// Growth of the process as the system sees it; 0 where it does not say.
    pub(crate) resident: f64,
    /// What the structure says of itself; 0 for those that do not.
    pub(crate) reported: f64,
    /// Bytes of the keys, where they can be told from the rest.
    pub(crate) keys: Option<f64>,
    /// Bytes of the values, where they can be told from the rest.
    pub(crate) values: Option<f64>,
    /// Milliseconds from the last insert to the end of background folding, or of `compact()`.
    pub(crate) settle_ms: f64,
}

impl Footprint {
    /// What is neither keys nor values.
    pub(crate) fn index(&self) -> Option<f64> {
        match (self.keys, self.values) {
            (None, None) => None,
            (keys, values) => Some(self.all_in - keys.unwrap_or(0.0) - values.unwrap_or(0.0)),
        }
    }

    fn fields(&mut self) -> [(&'static str, &mut f64); 6] {
        [
            ("all_in", &mut self.all_in),
            ("requested", &mut self.requested),
            ("peak", &mut self.peak),
            ("resident", &mut self.resident),
            ("reported", &mut self.reported),
            ("settle_ms", &mut self.settle_ms),
        ]
    }

    fn parts(&mut self) -> [(&'static str, &mut Option<f64>); 2] {
        [("keys", &mut self.keys), ("values", &mut self.values)]
    }

    fn to_line(mut self) -> String {
        let mut line = String::new();
        let parts = self.parts().map(|(name, part)| (name, *part));
        let fields = self.fields().map(|(name, field)| (name, Some(*field)));
        for (name, value) in fields.into_iter().chain(parts) {
            if let Some(value) = value {
                write!(line, "{name}={value} ").expect("a String takes all text");
            }
        }
        line
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut footprint = Self::default();
        for word in line.split_whitespace() {
            let (name, value) = word.split_once('=')?;
            let value = value.parse().ok()?;
            if let Some((_, field)) = footprint.fields().into_iter().find(|(n, _)| *n == name) {
                *field = value;
            } else {
                let (_, part) = footprint.parts().into_iter().find(|(n, _)| *n == name)?;
                *part = Some(value);
            }
        }
        Some(footprint)
    }
}

/// Starts this program again to measure one structure, sends it the keys, reads its answer.
pub(crate) fn in_child_process<L: Peers + Packed>(
    structure: Structure,
    keys: &L,
    values: Values,
) -> Result<Footprint, String> {
    let failed = |error: std::io::Error| {
        format!("cannot measure {} in a process of its own: {error}", structure.name())
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(["--measure", structure.token()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let sent = child.stdin.take().map(|stdin| {
        let mut pipe = BufWriter::new(stdin);
        keys.send(values, &mut pipe).and_then(|()| pipe.flush())
    });
    // A child that fails early closes the pipe; its own message says more than ours would.
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("measuring {} failed ({})", structure.name(), output.status));
    }
    sent.transpose().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Footprint::from_line(&text).ok_or_else(|| format!("no numbers in a child's answer: {text:?}"))
}

/// The child's side: keys from stdin, one line of numbers to stdout.
pub(crate) fn child(structure: Structure) -> Result<(), String> {
    start_counting();
    let footprint = match receive(&mut std::io::stdin().lock())? {
        (KeySet::Bytes(keys), values) => measure(structure, &keys, values)?,
        (KeySet::Integers(keys), values) => measure(structure, &keys, values)?,
    };
    println!("{}", footprint.to_line());
    Ok(())
}

fn measure<L: Peers>(structure: Structure, keys: &L, values: Values) -> Result<Footprint, String> {
    let value_bytes = (keys.len() * size_of::<u64>()) as f64;
    match structure {
        Structure::AtRest => memkv(keys, values, Options::default(), |map: &L::MemKV| {
            Ok(milliseconds(|| map.wait_for_rest()).0)
        }),
        Structure::Compacted => memkv(keys, values, Options::default(), compacted),
        Structure::Smallest => memkv(keys, values, smallest(), compacted),
        Structure::Delta => memkv(keys, values, never_folding(), |_| Ok(0.0)),
        Structure::BTreeMap => {
            let key_bytes = key_blocks(keys);
            let (mut footprint, _) =
                around(keys, values, || Ok(filled::<L, L::Tree>(keys, values)))?;
            (footprint.keys, footprint.values) = (Some(key_bytes), Some(value_bytes));
            Ok(footprint)
        }
        Structure::HashMap => {
            let key_bytes = key_blocks(keys);
            let (mut footprint, _) =
                around(keys, values, || Ok(filled::<L, L::Hash>(keys, values)))?;
            (footprint.keys, footprint.values) = (Some(key_bytes), Some(value_bytes));
            Ok(footprint)
        }
        Structure::Fst => {
            let sorted = keys.sorted_positions();
            let build = || keys.build_fst(&sorted, |index| value_of(values, index));
            Ok(around(keys, values, build)?.0)
        }
    }
}

fn filled<L: Peers, P: PeerMut<L::Key> + Default>(keys: &L, values: Values) -> P {
    let mut map = P::default();
    load(&mut map, keys, values);
    map
}

/// Options of a map for the fewest bytes.
pub(crate) fn smallest() -> Options {
    Options { profile: Profile::Smallest, ..Options::default() }
}

/// Options of a map that stays a radix tree.
pub(crate) fn never_folding() -> Options {
    Options { compaction: Compaction::Manual, ..Options::default() }
}

/// Folds everything; the milliseconds that took.
fn compacted<M: Ours>(map: &M) -> Result<f64, String> {
    let (ms, folded) = milliseconds(|| map.fold_all());
    map.wait_for_rest();
    folded.map(|()| ms)
}

fn memkv<L: Peers>(
    keys: &L,
    values: Values,
    options: Options,
    settle: impl FnOnce(&L::MemKV) -> Result<f64, String>,
) -> Result<Footprint, String> {
    let mut settle_ms = 0.0;
    let (mut footprint, map) = around(keys, values, || {
        let mut map = L::MemKV::set_up(options);
        load(&mut map, keys, values);
        settle_ms = settle(&map)?;
        Ok(map)
    })?;
    footprint.settle_ms = settle_ms;
    footprint.reported = map.usage().total() as f64;
    (footprint.keys, footprint.values) = parts(&map.numbers(), &map.usage());
    Ok(footprint)
}

fn milliseconds<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64() * 1e3, result)
}

/// Keys and values of the segments and of the delta. Key bytes of a delta are part of its nodes,
/// so a map that is all delta has values and index only.
fn parts(stats: &Stats, usage: &MemoryUsage) -> (Option<f64>, Option<f64>) {
    let segments = [stats.overlay, stats.base];
    let keys: usize = segments.iter().flatten().map(|segment| segment.key_bytes).sum();
    let values: usize = segments.iter().flatten().map(|segment| segment.value_bytes).sum();
    let in_deltas = (stats.delta_entries + stats.frozen_entries) as usize * size_of::<u64>();
    let has_segments = usage.base + usage.overlay > 0;
    (has_segments.then_some(keys as f64), Some((values + in_deltas) as f64))
}

/// Bytes of the heap blocks that owned keys need: each key is allocated once, alone.
fn key_blocks<L: Peers>(keys: &L) -> f64 {
    let mut blocks = 0;
    for index in 0..keys.len() {
        let before = heap_count().handed_out;
        let owned = L::to_owned_key(keys.key(index));
        blocks += heap_count().handed_out - before;
        drop(owned);
    }
    if blocks == 0 {
        // Integer keys have no blocks of their own; they sit in the nodes.
        return keys.key_bytes() as f64;
    }
    blocks as f64
}

/// Builds a map between two looks at the heap, then asks it for some of its keys.
fn around<L: KeyList, P: Peer<L::Key>>(
    keys: &L,
    values: Values,
    build: impl FnOnce() -> Result<P, String>,
) -> Result<(Footprint, P), String> {
    const ASKED: usize = 100_000;
    let before = heap_count();
    let resident_before = resident_bytes();
    reset_peak();
    let map = build()?;
    let after = heap_count();
    let footprint = Footprint {
        all_in: (after.handed_out - before.handed_out) as f64,
        requested: (after.requested - before.requested) as f64,
        peak: (after.peak - before.handed_out) as f64,
        resident: (resident_bytes() - resident_before).max(0.0),
        ..Footprint::default()
    };
    for index in 0..keys.len().min(ASKED) {
        if map.get(keys.key(index)) != Some(value_of(values, index)) {
            return Err(format!("the measured map lost the key at position {index}"));
        }
    }
    Ok((footprint, map))
}

/// Resident bytes of this process; 0 where the system does not say.
fn resident_bytes() -> f64 {
    const KIB: f64 = 1024.0;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok())
        .map_or(0.0, |kib| kib * KIB)
}
