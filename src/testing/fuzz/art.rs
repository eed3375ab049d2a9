//! The delta's tree against a `BTreeMap`.

use super::Input;
use crate::arena::hooks;
use crate::art::check::check;
use crate::art::{ArtCursor, Pin, Tree, TreeError};
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, EntryKind, Extent, INLINE_VALUE_MAX, ValueRef, ValueWidth};
use std::collections::BTreeMap;
use std::ops::Bound;

/// An entry that owns its value; `None` is a tombstone.
type Owned = (Option<Vec<u8>>, Below);

type Model = BTreeMap<Vec<u8>, Owned>;

/// Pins that a run holds at most.
const PINS: usize = 6;

/// An epoch from which a run can use up the rest.
const LATE_EPOCH: u16 = u16::MAX - 6;

/// Units short of the end of the address space at which an arena may start: two of the chunks
/// that lie there, so that their end is soon reached.
const LATE_UNITS: u32 = 4 << 10;

/// Runs the operations that `data` spells.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let width = input.width();
    let start = input.byte();
    if start & 0x03 == 0x03 {
        hooks::start_arenas_at((1 << 29) - LATE_UNITS);
    }
    let mut run = Run { tree: Tree::new(width), model: Model::new(), pins: Vec::new(), width };
    hooks::start_arenas_at(0);
    if start & 0x0c == 0x0c {
        run.tree.set_epoch(LATE_EPOCH);
    }
    while !input.is_empty() {
        run.step(&mut input);
        check(&run.tree);
        assert_eq!(run.tree.len(), run.model.len() as u64);
    }
    run.finish();
}

struct Run {
    tree: Tree,
    model: Model,
    pins: Vec<(Pin, Model)>,
    width: ValueWidth,
}

/// One write.
enum Write {
    Set(Owned),
    Unlink,
}

impl Run {
    fn step(&mut self, input: &mut Input<'_>) {
        let op = input.byte();
        match op % 16 {
            0..4 => {
                let key = input.key();
                let value = input.value(self.width);
                self.write(&key, Write::Set((Some(value), below_of(op))));
            }
            4 => {
                let key = input.key();
                self.write(&key, Write::Set((None, below_of(op))));
            }
            5..8 => {
                let key = input.key();
                self.write(&key, Write::Unlink);
            }
            8 => {
                let key = input.key();
                let found = self.tree.get(&key).map(owned);
                assert_eq!(found, self.model.get(&key).cloned());
            }
            9 if self.pins.len() < PINS => self.pins.push((self.tree.pin(), self.model.clone())),
            9 | 10 => self.let_go(input),
            11 => {
                for key in input.fan() {
                    let value = vec![op; usize::from(input.byte() % 4)];
                    let value = match self.width {
                        ValueWidth::Fixed(width) => vec![op; usize::from(width)],
                        ValueWidth::Bytes => value,
                    };
                    self.write(&key, Write::Set((Some(value), below_of(op))));
                }
            }
            12 => {
                for key in input.fan() {
                    self.write(&key, Write::Unlink);
                }
            }
            13 => {
                // The next allocation but so many fails, in whichever write makes it.
                hooks::fail_allocation(Some(u64::from(input.byte() % 3)));
                let key = input.key();
                let value = input.value(self.width);
                self.write(&key, Write::Set((Some(value), below_of(op))));
                hooks::fail_allocation(None);
            }
            14 => {
                let key = input.key();
                self.seek(&key);
            }
            _ => walk(ArtCursor::new(&self.tree), &self.model, input),
        }
    }

    /// Writes to both sides; a refusal must leave the tree as it was.
    fn write(&mut self, key: &[u8], write: Write) {
        let done = self.write_tree(key, &write);
        match (done, write) {
            (Ok(()), Write::Set(owned)) => {
                self.model.insert(key.to_vec(), owned);
            }
            (Ok(()), Write::Unlink) => {
                self.model.remove(key);
            }
            (Err(_), _) => {
                let found = self.tree.get(key).map(owned);
                assert_eq!(found, self.model.get(key).cloned(), "a refused write changed {key:?}");
            }
        }
    }

    fn write_tree(&mut self, key: &[u8], write: &Write) -> Result<(), TreeError> {
        let plan = self.tree.plan(key)?;
        let extent: Extent;
        let entry = match write {
            Write::Unlink => return self.tree.unlink(plan),
            Write::Set((None, below)) => Entry::tombstone(*below),
            Write::Set((Some(value), below)) => {
                let is_long = self.width == ValueWidth::Bytes && value.len() > INLINE_VALUE_MAX;
                let value = if is_long {
                    extent = value.as_slice().into();
                    ValueRef::extent(&extent)
                } else {
                    ValueRef::Inline(value)
                };
                Entry::value(value, *below)
            }
        };
        self.tree.apply(plan, key, entry)
    }

    /// Compares a pin with what was there when it was taken, and drops it.
    fn let_go(&mut self, input: &mut Input<'_>) {
        if self.pins.is_empty() {
            return;
        }
        let at = usize::from(input.byte()) % self.pins.len();
        let (pin, model) = self.pins.swap_remove(at);
        compare(ArtCursor::new(&pin), &model);
    }

    /// Both seeks, and a step back and forth from where they end.
    fn seek(&self, key: &[u8]) {
        let mut cursor = ArtCursor::new(&self.tree);
        cursor.seek(key);
        let from = (Bound::Included(key), Bound::Unbounded);
        assert_eq!(standing(&cursor), self.model.range::<[u8], _>(from).next().map(first_of));
        cursor.next();
        cursor.prev();
        cursor.seek_for_prev(key);
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let expected = self.model.range::<[u8], _>(up_to).next_back().map(first_of);
        assert_eq!(standing(&cursor), expected);
        if expected.is_some() {
            cursor.next();
            let after = (Bound::Excluded(key), Bound::Unbounded);
            let expected = self.model.range::<[u8], _>(after).next().map(first_of);
            assert_eq!(standing(&cursor), expected);
        }
    }

    fn finish(mut self) {
        compare(ArtCursor::new(&self.tree), &self.model);
        let weigh = |(value, below): &Owned| {
            let kind = if value.is_some() { EntryKind::Value } else { EntryKind::Tombstone };
            i64::from(crate::entry::weight(kind, *below))
        };
        assert_eq!(self.tree.weight(), self.model.values().map(weigh).sum::<i64>());
        for (pin, model) in std::mem::take(&mut self.pins) {
            compare(ArtCursor::new(&pin), &model);
        }
        // Without pins every epoch serves, and what is unlinked comes back to the last unit.
        for key in std::mem::take(&mut self.model).keys() {
            let done = self.write_tree(key, &Write::Unlink);
            if matches!(done, Err(TreeError::Arena(_))) {
                return;
            }
            assert_eq!(done, Ok(()));
        }
        check(&self.tree);
        let plan = self.tree.plan(b"").expect("nothing is pinned");
        assert_eq!(self.tree.unlink(plan), Ok(()));
        assert_eq!((self.tree.used_bytes(), self.tree.limbo_bytes(), self.tree.len()), (0, 0, 0));
    }
}

fn below_of(op: u8) -> Below {
    if op & 0x80 == 0 { Below::Absent } else { Below::Live }
}

fn owned(entry: Entry<'_>) -> Owned {
    (entry.live().map(<[u8]>::to_vec), entry.below)
}

fn first_of<'m>((key, owned): (&'m Vec<u8>, &'m Owned)) -> (Vec<u8>, Owned) {
    (key.clone(), owned.clone())
}

fn standing(cursor: &impl Cursor) -> Option<(Vec<u8>, Owned)> {
    cursor.valid().then(|| (cursor.key().to_vec(), owned(cursor.entry())))
}

/// Compares everything that a cursor shows, from the front and from the back.
fn compare(mut cursor: impl Cursor, model: &Model) {
    cursor.first();
    for expected in model {
        assert_eq!(standing(&cursor), Some(first_of(expected)));
        cursor.next();
    }
    assert!(!cursor.valid());
    cursor.last();
    for expected in model.iter().rev() {
        assert_eq!(standing(&cursor), Some(first_of(expected)));
        cursor.prev();
    }
    assert!(!cursor.valid());
}

/// Walks to and fro as the input says.
fn walk(mut cursor: impl Cursor, model: &Model, input: &mut Input<'_>) {
    let keys: Vec<&Vec<u8>> = model.keys().collect();
    cursor.first();
    let mut at = Some(0).filter(|_| !keys.is_empty());
    for _ in 0..input.byte() % 32 {
        let Some(now) = at else { break };
        assert_eq!(cursor.key(), keys[now].as_slice());
        at = if input.byte().is_multiple_of(3) {
            cursor.prev();
            now.checked_sub(1)
        } else {
            cursor.next();
            Some(now + 1).filter(|&next| next < keys.len())
        };
        assert_eq!(cursor.valid(), at.is_some());
    }
}
