//! All operations of the public map against a `BTreeMap`.

use super::Input;
use crate::entry::ValueWidth;
use crate::options::{Compaction, Options, Residence};
use crate::range::ByteRange;
use crate::testing::driven::{Driven, Modelled};
use crate::testing::model::{MapUnderTest, check_ops};
use crate::testing::script::{OPEN_ITERATORS, Op, Steps};
use std::collections::BTreeSet;
use std::ops::Bound;

/// Runs the operations that `data` spells.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.byte();
    let compaction = if mode & 4 == 0 { Compaction::Manual } else { Compaction::Inline };
    let overlay_percent = if mode & 8 == 0 { 100.0 } else { 0.0 };
    let options = Options {
        compaction,
        overlay_percent,
        delta_floor_bytes: 512,
        delta_percent: 5.0,
        ..Options::default()
    };
    match mode & 3 {
        0 | 3 => drive(Driven::<Vec<u8>>::with_options(options), &mut input),
        1 => drive(Driven::<[u8; 8]>::with_options(options), &mut input),
        _ => drive(Driven::<()>::with_options(options), &mut input),
    }
}

fn drive<V: Modelled>(map: Driven<V>, input: &mut Input<'_>) {
    let mut ops = Vec::new();
    while !input.is_empty() {
        decode(input, <Driven<V> as MapUnderTest>::VALUES, &mut ops);
    }
    check_ops(map, ops);
}

/// Reads one operation, or a few that belong together.
fn decode(input: &mut Input<'_>, width: ValueWidth, ops: &mut Vec<Op>) {
    let slot = |input: &mut Input<'_>| usize::from(input.byte()) % OPEN_ITERATORS;
    let op = match input.byte() % 32 {
        0..4 => Op::Insert(input.key(), input.value(width)),
        4..7 => Op::Put(input.key(), input.value(width)),
        7 => Op::Remove(input.key()),
        8 => Op::Delete(input.key()),
        9 | 10 => Op::Get(input.key()),
        11 => Op::Contains(input.key()),
        12 => Op::Len,
        13 => Op::First,
        14 => Op::Last,
        15 | 16 => Op::Range(range(input), steps(input)),
        17 => Op::Prefix(input.key(), steps(input)),
        18 | 19 => Op::Open(slot(input), range(input)),
        20 => Op::Take(slot(input), steps(input)),
        21 => Op::Close(slot(input)),
        22 => {
            let keys: BTreeSet<Vec<u8>> = (0..input.byte() % 16).map(|_| input.key()).collect();
            Op::ExtendSorted(keys.into_iter().map(|key| (key, input.value(width))).collect())
        }
        23 => {
            let keys = input.fan().into_iter();
            let keys = keys.collect::<BTreeSet<_>>().into_iter();
            Op::ExtendSorted(keys.map(|key| (key, input.value(width))).collect())
        }
        24 if input.byte().is_multiple_of(8) => Op::Clear,
        24 | 25 => Op::Compact,
        26 => Op::Freeze,
        27 => Op::FoldStep,
        28 => match input.byte() % 3 {
            0 => Op::Reopen(Residence::Mapped),
            1 => Op::Reopen(Residence::Resident),
            _ => Op::Verify,
        },
        29 => {
            let deletes = input.fan().into_iter().map(Op::Delete);
            return ops.extend(deletes);
        }
        _ => {
            let value = input.value(width);
            let puts = input.fan().into_iter().map(|key| Op::Put(key, value.clone()));
            return ops.extend(puts);
        }
    };
    ops.push(op);
}

fn bound(input: &mut Input<'_>) -> Bound<Vec<u8>> {
    match input.byte() % 3 {
        0 => Bound::Unbounded,
        1 => Bound::Included(input.key()),
        _ => Bound::Excluded(input.key()),
    }
}

fn range(input: &mut Input<'_>) -> ByteRange {
    ByteRange { lower: bound(input), upper: bound(input) }
}

fn steps(input: &mut Input<'_>) -> Steps {
    let pattern = input.byte();
    Steps { count: usize::from(input.byte()), pattern: u64::from_le_bytes([pattern; 8]) }
}
