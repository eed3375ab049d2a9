//! From a file to the first answer: a saved MemKV opened by mapping and by copying it into memory,
//! an `fst::Map` over a mapped file, and a `BTreeMap` and a `HashMap` made again from a file of
//! sorted entries, with 10,000 and with 100,000 words. The files have been read before: this is
//! about work, not about disks.
//!
//! `cargo bench --bench open`.
#![allow(clippy::disallowed_methods, reason = "the peers have no files of their own")]

mod common;
#[path = "common/maps.rs"]
mod maps;

use common::keys::{ByteKeys, KeyList, Keys, words};
use common::peers::Peers;
use common::random::Random;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use maps::{ENTRIES, SEED, short_runs, value_at};
use memkv::{Options, Residence};
use memmap2::Mmap;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type MemKV = <ByteKeys as Peers>::MemKV;

/// The same entries in the files of each structure.
struct Files {
    memkv: PathBuf,
    fst: PathBuf,
    entries: PathBuf,
    /// The key to ask for.
    key: Vec<u8>,
    answer: u64,
    folder: TempDir,
}

impl Files {
    fn written(entries: usize) -> Self {
        let keys = words(entries, &mut Random::new(SEED)).expect("the repository comes with words");
        let sorted = keys.sorted_positions();
        let folder = tempfile::tempdir().expect("a folder for files");
        let path = |name: &str| folder.path().join(name);
        let files = Self {
            memkv: path("words.memkv"),
            fst: path("words.fst"),
            entries: path("words.entries"),
            key: keys.key(0).to_vec(),
            answer: value_at(0),
            folder,
        };
        let ascending = || sorted.iter().map(|&at| (keys.key(at as usize), value_at(at as usize)));
        MemKV::from_sorted(ascending())
            .and_then(|kv| kv.save_to(&files.memkv))
            .expect("a map can be saved");
        let fst = keys.build_fst(&sorted, value_at).expect("the words ascend");
        fs::write(&files.fst, fst.as_fst().as_bytes()).expect("room for a file");
        let mut packed = Vec::new();
        for (key, value) in ascending() {
            packed.extend_from_slice(&(key.len() as u32).to_le_bytes());
            packed.extend_from_slice(key);
            packed.extend_from_slice(&value.to_le_bytes());
        }
        fs::write(&files.entries, packed).expect("room for a file");
        files
    }

    fn check(&self, answer: Option<u64>) {
        assert_eq!(answer, Some(self.answer), "in {}", self.folder.path().display());
    }
}

/// Takes `len` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    bytes.split_off(..len).expect("the file was written whole")
}

/// The entries of a file, made by `Files::written`.
fn unpack(mut bytes: &[u8]) -> impl Iterator<Item = (Vec<u8>, u64)> {
    std::iter::from_fn(move || {
        let len = bytes.split_off(..4)?;
        let len = u32::from_le_bytes(len.try_into().expect("four bytes"));
        let key = take(&mut bytes, len as usize).to_vec();
        let value = take(&mut bytes, 8).try_into().expect("eight bytes");
        Some((key, u64::from_le_bytes(value)))
    })
}

#[allow(unsafe_code, reason = "mapping a file is unsafe: another process could change it")]
fn mapped_fst(path: &Path) -> fst::Map<Mmap> {
    let file = File::open(path).expect("the file was written");
    // SAFETY: the file is in a new folder of this process, which writes it no more.
    let mapping = unsafe { Mmap::map(&file) }.expect("a file can be mapped");
    fst::Map::new(mapping).expect("the file is a transducer")
}

fn opens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open and get one");
    for entries in [ENTRIES / 10, ENTRIES] {
        let files = &Files::written(entries);
        let modes = [("MemKV mapped", Residence::Mapped), ("MemKV resident", Residence::Resident)];
        for (name, residence) in modes {
            group.bench_function(BenchmarkId::new(name, entries), |bencher| {
                bencher.iter(|| {
                    let options = Options { residence, ..Options::default() };
                    let kv = MemKV::open_with_options(&files.memkv, options).expect("it was saved");
                    files.check(kv.get(&files.key));
                });
            });
        }
        group.bench_function(BenchmarkId::new("MemKV read-only", entries), |bencher| {
            bencher.iter(|| {
                let kv = MemKV::open_read_only(&files.memkv).expect("it was saved");
                files.check(kv.get(&files.key));
            });
        });
        group.bench_function(BenchmarkId::new("fst::Map mapped", entries), |bencher| {
            bencher.iter(|| files.check(mapped_fst(&files.fst).get(&files.key)));
        });
        group.bench_function(BenchmarkId::new("BTreeMap made again", entries), |bencher| {
            bencher.iter(|| {
                let bytes = fs::read(&files.entries).expect("the file was written");
                let tree: BTreeMap<_, _> = unpack(&bytes).collect();
                files.check(tree.get(&files.key).copied());
            });
        });
        group.bench_function(BenchmarkId::new("HashMap made again", entries), |bencher| {
            bencher.iter(|| {
                let bytes = fs::read(&files.entries).expect("the file was written");
                let hash: HashMap<_, _> = unpack(&bytes).collect();
                files.check(hash.get(&files.key).copied());
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = short_runs();
    targets = opens
}
criterion_main!(benches);
