//! The delta alone (nothing is ever folded) against `BTreeMap` and the `blart` radix tree, all in
//! one run: a million words and a million random integers, in random order.
//!
//! `cargo bench --bench delta`; `-- --quick` for small sizes. Each round builds every map anew
//! and times one step on all of them before the next step starts, so that noise of the machine
//! hits all alike. Every map must give the same answers; a difference ends the bench with code 1.

mod common;

use blart::TreeMap;
use common::keys::{ByteKeys, IntegerKeys, KeyList, Keys, random_integers, words};
use common::options::{BenchOptions, bench_main};
use common::peers::{Ours, Peer, PeerMut, Peers, ordered_bytes};
use common::probe::{Passes, Subject, Timed, load, time};
use common::random::{Random, value_of};
use memkv::Compaction;
use std::ffi::{CStr, CString};
use std::process::ExitCode;

const NAMES: [&str; 4] =
    ["MemKV delta alone", "BTreeMap", "BTreeMap, bulk-built", "blart::TreeMap"];
// Rows of the table, in the order of `NAMES`.
const MEMKV: usize = 0;
const TREE: usize = 1;
const BULK_TREE: usize = 2;
const BLART: usize = 3;

/// What is timed; also the columns of the table.
#[derive(Clone, Copy, Debug)]
enum Step {
    Insert,
    Hit,
    Dependent,
    Miss,
}

impl Step {
    const ALL: [Self; 4] = [Self::Insert, Self::Hit, Self::Dependent, Self::Miss];
    const GETS: [Self; 3] = [Self::Hit, Self::Dependent, Self::Miss];

    fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Hit => "get hit",
            Self::Dependent => "dependent",
            Self::Miss => "near miss",
        }
    }
}

/// At most this share of `BTreeMap`'s time is asked of the delta, for inserts and for gets.
const ASKED_OF_INSERT: f64 = 0.85;
const ASKED_OF_GET: f64 = 0.65;

fn main() -> ExitCode {
    bench_main("delta", run)
}

fn run(options: &BenchOptions) -> Result<(), String> {
    let entries = options.entries.unwrap_or(if options.quick { 20_000 } else { 1_000_000 });
    let mut random = Random::new(options.seed);

    let keys = words(entries, &mut random)?;
    let pairs = (0..keys.len()).filter(|&index| keys.key(index).contains(&b'-')).count();
    println!(
        "{entries} words, {:.1} bytes each ({pairs} with a hyphen: where the shipped list is too \
         short, pairs of its words fill up)",
        keys.key_bytes() as f64 / keys.len() as f64
    );
    compare(&keys, options, &mut random)?;

    println!("\n{entries} random u64");
    compare(&random_integers(entries, &mut random), options, &mut random)
}

/// What `blart` needs: keys of which none is a prefix of another.
trait BlartKeys: Peers {
    type List: KeyList;
    type Map: PeerMut<<Self::List as KeyList>::Key> + Default;

    fn blart_list(&self) -> Result<Self::List, String>;
}

/// Keys that end in a NUL byte, which none of them holds elsewhere.
struct TerminatedKeys(Vec<&'static CStr>);

impl KeyList for TerminatedKeys {
    type Key = CStr;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn key(&self, index: usize) -> &CStr {
        self.0[index]
    }

    fn weight(key: &CStr) -> u64 {
        ByteKeys::weight(key.to_bytes())
    }
}

impl BlartKeys for ByteKeys {
    type List = TerminatedKeys;
    type Map = TreeMap<CString, u64>;

    /// The list lives as long as the bench, packed like the other lists.
    fn blart_list(&self) -> Result<TerminatedKeys, String> {
        let mut pool = Vec::with_capacity(self.key_bytes() + self.len());
        for index in 0..self.len() {
            pool.extend_from_slice(self.key(index));
            pool.push(0);
        }
        let mut rest: &'static [u8] = Vec::leak(pool);
        let mut keys = Vec::with_capacity(self.len());
        while !rest.is_empty() {
            let key = CStr::from_bytes_until_nul(rest).map_err(|error| error.to_string())?;
            keys.push(key);
            rest = &rest[key.count_bytes() + 1..];
        }
        if keys.len() != self.len() {
            return Err("a key holds a NUL byte; blart cannot take it here".to_owned());
        }
        Ok(TerminatedKeys(keys))
    }
}

impl BlartKeys for IntegerKeys {
    type List = IntegerKeys;
    type Map = TreeMap<[u8; 8], u64>;

    fn blart_list(&self) -> Result<IntegerKeys, String> {
        Ok(IntegerKeys(self.0.clone()))
    }
}

impl Peer<CStr> for TreeMap<CString, u64> {
    fn get(&self, key: &CStr) -> Option<u64> {
        self.get(key).copied()
    }

    fn visit(&self, mut entry: impl FnMut(&CStr, u64)) {
        for (key, value) in self {
            entry(key, *value);
        }
    }
}

impl PeerMut<CStr> for TreeMap<CString, u64> {
    fn insert(&mut self, key: &CStr, value: u64) {
        TreeMap::insert(self, key.to_owned(), value);
    }
}

impl Peer<u64> for TreeMap<[u8; 8], u64> {
    fn get(&self, key: &u64) -> Option<u64> {
        self.get(&ordered_bytes(*key)).copied()
    }

    fn visit(&self, mut entry: impl FnMut(&u64, u64)) {
        for (key, value) in self {
            #[allow(clippy::big_endian_bytes, reason = "a key codec: only this order sorts")]
            entry(&u64::from_be_bytes(*key), *value);
        }
    }
}

impl PeerMut<u64> for TreeMap<[u8; 8], u64> {
    fn insert(&mut self, key: &u64, value: u64) {
        TreeMap::insert(self, ordered_bytes(*key), value);
    }
}

/// Key lists of one comparison, in the forms that the maps take.
struct Lists<L: BlartKeys> {
    probes: L,
    misses: L,
    blart_keys: L::List,
    blart_probes: L::List,
    blart_misses: L::List,
    sorted: Vec<u32>,
}

/// Passes by map and step.
type Table = [[Passes; Step::ALL.len()]; NAMES.len()];

/// A filled map beside the others.
enum Entrant<'a, L: BlartKeys> {
    Plain(&'a dyn Subject<L>),
    Blart(&'a dyn Subject<L::List>),
}

impl<L: BlartKeys> Entrant<'_, L> {
    fn pass(&self, step: Step, lists: &Lists<L>) -> Timed {
        match (self, step) {
            (Self::Plain(map), Step::Dependent) => map.get_chained(&lists.probes),
            (Self::Plain(map), Step::Miss) => map.get_each(&lists.misses),
            (Self::Plain(map), _) => map.get_each(&lists.probes),
            (Self::Blart(map), Step::Dependent) => map.get_chained(&lists.blart_probes),
            (Self::Blart(map), Step::Miss) => map.get_each(&lists.blart_misses),
            (Self::Blart(map), _) => map.get_each(&lists.blart_probes),
        }
    }
}

fn compare<L: BlartKeys>(
    keys: &L,
    options: &BenchOptions,
    random: &mut Random,
) -> Result<(), String> {
    let rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 5 }).max(1);
    let probes = keys.hits(keys.len(), random);
    let misses = keys.near_misses(keys.len(), random);
    let lists = Lists {
        blart_keys: keys.blart_list()?,
        blart_probes: probes.blart_list()?,
        blart_misses: misses.blart_list()?,
        sorted: keys.sorted_positions(),
        probes,
        misses,
    };
    let mut table = Table::default();
    let mut delta_bytes = 0;
    for _ in 0..rounds {
        delta_bytes = round(keys, &lists, options.seed, &mut table)?;
    }
    report(&table, rounds);
    println!(
        "delta: {:.1} bytes per entry by its own count",
        delta_bytes as f64 / keys.len() as f64
    );
    Ok(())
}

/// Builds and times all maps once; bytes of the delta.
fn round<L: BlartKeys>(
    keys: &L,
    lists: &Lists<L>,
    seed: u64,
    table: &mut Table,
) -> Result<usize, String> {
    let mut delta = L::MemKV::with_compaction(Compaction::Manual);
    let mut tree = L::Tree::default();
    let mut blart = L::Map::default();
    let insert = Step::Insert as usize;
    table[MEMKV][insert].push(load(&mut delta, keys, seed));
    table[TREE][insert].push(load(&mut tree, keys, seed));
    let (bulk_ns, bulk) = time(keys.len(), || {
        L::bulk_tree(lists.sorted.iter().map(|&position| {
            let position = position as usize;
            (L::to_owned_key(keys.key(position)), value_of(seed, position))
        }))
    });
    table[BULK_TREE][insert].push(bulk_ns);
    table[BLART][insert].push(load(&mut blart, &lists.blart_keys, seed));

    let entrants: [Entrant<'_, L>; NAMES.len()] = [
        Entrant::Plain(&delta),
        Entrant::Plain(&tree),
        Entrant::Plain(&bulk),
        Entrant::Blart(&blart),
    ];
    for step in Step::GETS {
        let found = if matches!(step, Step::Miss) { 0 } else { keys.len() as u64 };
        let mut expected = None;
        for ((name, entrant), row) in NAMES.iter().zip(&entrants).zip(table.iter_mut()) {
            let Timed { ns, answers } = entrant.pass(step, lists);
            row[step as usize].push(ns);
            if answers != *expected.get_or_insert(answers) || answers.found != found {
                return Err(format!(
                    "wrong answers: {name} in {}: {answers:?}, but the first map {expected:?} \
                     and {found} to be found",
                    step.name()
                ));
            }
        }
    }
    Ok(delta.usage().total())
}

fn report(table: &Table, rounds: usize) {
    println!("ns: best, median of {rounds} rounds, ratio of the bests to BTreeMap");
    print!("{:<21}", "");
    for step in Step::ALL {
        print!(" {:>18}", step.name());
    }
    println!();
    for (name, steps) in NAMES.iter().zip(table) {
        print!("{name:<21}");
        for (passes, tree) in steps.iter().zip(&table[TREE]) {
            let best = passes.best().unwrap_or(f64::NAN);
            let median = passes.median().unwrap_or(f64::NAN);
            print!(" {best:>6.0} {median:>5.0} {:>5.2}", ratio(passes, tree));
        }
        println!();
    }
    for step in Step::ALL {
        let of_tree = |row: usize| ratio(&table[row][step as usize], &table[TREE][step as usize]);
        let (delta, blart) = (of_tree(MEMKV), of_tree(BLART));
        let asked = match step {
            Step::Insert => Some(ASKED_OF_INSERT),
            Step::Hit => Some(ASKED_OF_GET),
            Step::Dependent | Step::Miss => None,
        };
        let verdict = asked.map_or_else(String::new, |asked| {
            let verdict = if delta <= asked { "met" } else { "NOT met" };
            format!(" (asked at most {asked:.2}: {verdict})")
        });
        println!(
            "{}: delta / BTreeMap = {delta:.2}{verdict}, blart / BTreeMap = {blart:.2}",
            step.name()
        );
    }
}

fn ratio(passes: &Passes, to: &Passes) -> f64 {
    passes.best().unwrap_or(f64::NAN) / to.best().unwrap_or(f64::NAN)
}
