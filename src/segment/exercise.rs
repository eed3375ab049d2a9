//! Segments of bytes that nobody wrote: ask everything that can be asked.

use super::*;
use crate::batch::{Batch, Widths};
use crate::columns::Columns;
use crate::cursor::Cursor;
use crate::entry::Extent;
use crate::range::Direction;
use std::collections::VecDeque;

/// Keys that a walk looks at. A damaged segment may claim any number.
const WALKED_KEYS: usize = 1000;

/// Bytes of keys after which a walk ends. A few nodes can spell many long keys.
const WALKED_BYTES: usize = 1 << 20;

/// Copies from a probe on.
const COPIES: usize = 5;

/// Steps of a get at most.
const LOOKUP_STEPS: usize = 4;

/// Opens a copy of an image.
pub(crate) fn reopened(
    image: &[u8],
    extents: &[Extent],
    width: ValueWidth,
) -> Result<Segment, Corruption> {
    let mut buffer = Buffer::zeroed(image.len()).expect("memory for a test");
    buffer.as_mut_slice().copy_from_slice(image);
    Segment::open(Image::Heap(buffer), Extents::Owned(extents.to_vec()), width)
}

/// Asks a segment of any bytes everything; what it answers does not matter, that it answers does.
/// Unless `verify` accepts it: then all answers must agree with each other.
pub(crate) fn exercise(segment: &Segment, probes: &[Vec<u8>]) {
    let is_sound = segment.verify().is_ok();
    let _ = segment.stats();
    exercise_lookups(segment, probes);
    exercise_pass(segment, probes, is_sound);
    exercise_copies(segment, probes, is_sound);
    exercise_columns(segment, is_sound);
    exercise_splice(segment, probes, is_sound);
    for probe in probes {
        let (found, bound) = (segment.find(probe), segment.lower_bound(probe));
        let buf = ValueBuf::default();
        let value =
            segment.get(probe, &buf).map(|entry| entry.map(|entry| entry.value.as_slice().len()));
        let mut cursor = SegmentCursor::new(segment);
        cursor.seek(probe);
        cursor.prev();
        cursor.seek_for_prev(probe);
        cursor.next();
        if is_sound {
            let bound = bound.expect("verified");
            assert!(found.expect("verified").is_none_or(|found| found == bound));
            assert_eq!(
                value.expect("verified").is_some(),
                found.is_ok_and(|found| found.is_some())
            );
            assert_eq!(cursor.status(), Ok(()));
        }
    }
    let mut key = vec![];
    for ordinal in (0..segment.len().min(200)).map(Ordinal) {
        key.clear();
        let named = segment.key_at(ordinal, &mut key);
        let found = segment.find(&key);
        let buf = ValueBuf::default();
        let entry = segment.entry(ordinal, &buf).map(|entry| entry.live().map(<[u8]>::to_vec));
        let weight = segment.weight_before(ordinal);
        if is_sound {
            assert_eq!((named, found), (Ok(()), Ok(Some(ordinal))));
            assert!(entry.is_ok() && weight.is_ok());
        }
    }
    let mut cursor = SegmentCursor::new(segment);
    cursor.first();
    let up = walk(&mut cursor, Direction::Forward, is_sound);
    let up_ended = !cursor.valid();
    cursor.last();
    let down = walk(&mut cursor, Direction::Backward, is_sound);
    let down_ended = !cursor.valid();
    assert!(up.is_sorted_by(|a, b| a < b) && down.is_sorted_by(|a, b| a > b));
    for (direction, walked) in [(Direction::Forward, &up), (Direction::Backward, &down)] {
        let copied = walk_by_copies(segment, direction);
        match direction {
            Direction::Forward => assert!(copied.is_sorted_by(|a, b| a < b)),
            Direction::Backward => assert!(copied.is_sorted_by(|a, b| a > b)),
        }
        if is_sound {
            assert!(copied.iter().zip(walked).all(|(copied, walked)| copied == walked));
            assert!(copied.len() >= walked.len());
        }
    }
    // Of keys that come to about as many bytes, one walk may see all and the other not.
    let is_short =
        up.len() < WALKED_KEYS && up.iter().map(Vec::len).sum::<usize>() < WALKED_BYTES / 2;
    if is_sound && (is_short || up_ended && down_ended) {
        assert!(up.iter().eq(down.iter().rev()));
        assert_eq!(up.len() as u64, segment.len());
    }
}

/// Copies entries that come next into a batch: what is copied is what stands there, and where nothing is, a
/// step goes on as if nobody had tried.
fn exercise_copies(segment: &Segment, probes: &[Vec<u8>], is_sound: bool) {
    let ValueWidth::Fixed(width) = segment.width else { return };
    let widths = Widths::new(8, Some(width.into()));
    for (probe, direction) in
        probes.iter().flat_map(|probe| [(probe, Direction::Forward), (probe, Direction::Backward)])
    {
        let mut cursor = SegmentCursor::new(segment);
        cursor.seek(probe);
        let mut batch = Batch::new(true);
        for _ in 0..COPIES {
            let Some(Ordinal(before)) = cursor.ordinal() else { break };
            let last = cursor.key().to_vec();
            let is_beyond = |key: &[u8]| match direction {
                Direction::Forward => key > &last[..],
                Direction::Backward => key < &last[..],
            };
            let (mut copied, mut stepped) = (0, 0);
            match cursor.copy_next(direction, &mut batch, |_| true) {
                Some(Ok(true)) => {
                    while let Some(i) = batch.advance(direction) {
                        assert!(batch.with_entry(i, widths, |key, _| is_beyond(key)));
                        copied += 1;
                    }
                }
                Some(Ok(false)) => break,
                Some(Err(_)) => {
                    assert!(!is_sound);
                    break;
                }
                None => {
                    assert_eq!(
                        (cursor.key(), cursor.ordinal()),
                        (&last[..], Some(Ordinal(before)))
                    );
                    match direction {
                        Direction::Forward => cursor.next(),
                        Direction::Backward => cursor.prev(),
                    }
                    stepped = 1;
                }
            }
            let at = cursor.ordinal().map(|Ordinal(at)| at.abs_diff(before));
            assert!(at.is_none_or(|at| at == copied + stepped) && (at.is_some() || stepped > 0));
        }
    }
}

/// The keys of a walk that copies what it can, and steps where it cannot: as many as a walk in steps looks at,
/// or more, of what it copied last.
fn walk_by_copies(segment: &Segment, direction: Direction) -> Vec<Vec<u8>> {
    let width = match segment.width {
        ValueWidth::Fixed(width) => Some(usize::from(width)),
        ValueWidth::Bytes => None,
    };
    let (mut batch, widths) = (Batch::new(width.is_some()), Widths::new(8, width));
    let mut cursor = SegmentCursor::new(segment);
    let (mut keys, mut bytes) = (Vec::new(), 0);
    match direction {
        Direction::Forward => cursor.first(),
        Direction::Backward => cursor.last(),
    }
    while cursor.valid() && keys.len() < WALKED_KEYS && bytes < WALKED_BYTES {
        bytes += cursor.key().len();
        keys.push(cursor.key().to_vec());
        while keys.len() < WALKED_KEYS
            && bytes < WALKED_BYTES
            && let Some(Ok(true)) = cursor.copy_next(direction, &mut batch, |_| true)
        {
            while let Some(i) = batch.advance(direction) {
                let key = batch.with_entry(i, widths, |key, _| key.to_vec());
                bytes += key.len();
                keys.push(key);
            }
            assert_eq!(keys.last().map(Vec::as_slice), Some(cursor.key()));
        }
        match direction {
            Direction::Forward => cursor.next(),
            Direction::Backward => cursor.prev(),
        }
    }
    keys
}

/// Passes entries on to another segment, probe by probe. Of a base this makes a sound one, or fails.
fn exercise_pass(segment: &Segment, probes: &[Vec<u8>], is_sound: bool) {
    let Ok(Some(mut pass)) = Pass::new(segment) else { return };
    let bump = bumpalo::Bump::new();
    let is_wide = segment.keys().is_ok_and(|keys| matches!(keys, Keys::Wide(_)));
    let choice = if is_wide { CodecChoice::Wide } else { CodecChoice::Int };
    let mut passed = SegmentBuilder::new(segment.width, &bump, choice).expect("memory");
    let room = Room { entries: WALKED_KEYS as u64, bulk: WALKED_BYTES as u64 };
    let bounds = probes.iter().map(|probe| Some(probe.as_slice())).chain([None]);
    let mut outcome: Result<(), Error> = Ok(());
    for bound in bounds {
        outcome = outcome.and_then(|()| {
            if pass.pass_below(bound, &mut passed, room)?
                && let Some(key) = bound.filter(|key| key.len().is_multiple_of(2))
            {
                pass.skip(key)?;
            }
            Ok(())
        });
    }
    let count = passed.len();
    if is_sound {
        assert!(outcome.is_ok());
        assert!(pass.is_done() || count == room.entries || passed.bulk() >= room.bulk);
    }
    if outcome.is_ok() && pass.is_base() && count > 0 {
        let passed = passed.finish().expect("memory");
        assert!(passed.verify().is_ok());
        assert_eq!(passed.len(), count);
    }
}

/// Reads packed numbers in columns, and builds another segment of them. Of a base this makes a sound one, or
/// fails.
fn exercise_columns(segment: &Segment, is_sound: bool) {
    let (Ok(Some(mut pieces)), ValueWidth::Fixed(width)) =
        (NumberPieces::new(segment), segment.width)
    else {
        return;
    };
    let bump = bumpalo::Bump::new();
    let mut built = SegmentBuilder::new(segment.width, &bump, CodecChoice::Int).expect("memory");
    let mut columns = Columns::new(width.into());
    let mut outcome: Result<(), Error> = Ok(());
    while outcome.is_ok() && !pieces.is_done() && built.len() < WALKED_KEYS as u64 {
        outcome = pieces.read(&mut columns).and_then(|()| {
            let all = Room { entries: u64::MAX, bulk: u64::MAX };
            built.push_columns(pieces.key_width(), &mut columns, all)
        });
    }
    assert!(outcome.is_ok() || !is_sound);
    let count = built.len();
    if outcome.is_ok() && pieces.is_base() && count > 0 {
        let built = built.finish().expect("memory");
        assert!(built.verify().is_ok());
        assert_eq!(built.len(), count);
    }
}

/// Puts a segment together from its blocks and probes, every third of which is taken away. What comes of
/// damage is damage, or an error; of a sound one a sound one comes.
fn exercise_splice(segment: &Segment, probes: &[Vec<u8>], is_sound: bool) {
    let keys = segment.known().map(|known| segment.keys_of(known));
    if !matches!(keys, Ok(Keys::Front(_))) {
        return;
    }
    let mut sorted: Vec<&[u8]> = probes.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let bump = bumpalo::Bump::new();
    let mut newer = SegmentBuilder::new(segment.width, &bump, CodecChoice::Plain).expect("memory");
    let value = match segment.width {
        ValueWidth::Fixed(width) => vec![1; usize::from(width)],
        ValueWidth::Bytes => vec![1; 2_000],
    };
    for (i, key) in sorted.iter().enumerate() {
        let entry = if i % 3 == 2 {
            Entry::tombstone(Below::Live)
        } else {
            Entry::value(ValueRef::Inline(&value), Below::Absent)
        };
        newer.push(key, entry).expect("short keys in order");
    }
    let newer = newer.finish().expect("memory");
    let parts = Room { entries: 1 + segment.len() / 3, bulk: 8 * WALKED_BYTES as u64 };
    for limits in [None, Some(parts)] {
        let outcome = splice(segment, &mut SegmentCursor::new(&newer), limits, &|| true);
        if is_sound {
            assert!(outcome.is_ok());
        }
        let Ok(Outcome::Spliced(Spliced { pieces, .. })) = outcome else { continue };
        if is_sound {
            assert!(pieces.iter().all(|piece| piece.segment.verify().is_ok()));
            for (i, key) in sorted.iter().enumerate() {
                let found = |piece: &SplicedPiece| piece.segment.find(key).expect("verified");
                assert_eq!(pieces.iter().any(|piece| found(piece).is_some()), i % 3 != 2);
            }
        }
        for piece in pieces {
            let mut cursor = SegmentCursor::new(&*piece.segment);
            cursor.first();
            walk(&mut cursor, Direction::Forward, is_sound);
        }
    }
}

/// Gets in steps that take turns: each answers what a get answers, the same error included.
fn exercise_lookups(segment: &Segment, probes: &[Vec<u8>]) {
    let shown = |found: Option<Entry<'_>>| {
        found.map(|entry| (entry.kind, entry.below, entry.value.as_slice().to_vec()))
    };
    let mut pending: Vec<(&[u8], Lookup<'_, '_>)> = Vec::new();
    for probe in probes {
        let mut lookup = Lookup::none();
        match lookup.begin(segment, probe) {
            Ok(()) => pending.push((probe, lookup)),
            Err(corruption) => {
                assert_eq!(segment.get(probe, &ValueBuf::default()).err(), Some(corruption));
            }
        }
    }
    for _ in 0..LOOKUP_STEPS {
        pending.retain_mut(|(probe, lookup)| {
            let bufs = [ValueBuf::default(), ValueBuf::default()];
            let answer = match lookup.step(&bufs[0]) {
                Ok(Stepped::Pending) => return true,
                Ok(Stepped::Done(found)) => Ok(shown(found)),
                Err(corruption) => Err(corruption),
            };
            assert_eq!(answer, segment.get(probe, &bufs[1]).map(shown));
            false
        });
    }
    assert!(pending.is_empty(), "a get takes a few steps");
    for probe in probes {
        let mut search = None;
        segment.begin_soon(probe, &mut search);
        let Some(mut search) = search else { continue };
        search.narrow();
        assert_eq!(search.settle(), segment.soon(probe));
    }
    for probe in probes {
        let bufs = [ValueBuf::default(), ValueBuf::default()];
        let mut asked = 0;
        let below = segment.get_below(probe, &bufs[0], &mut || {
            asked += 1;
            true
        });
        assert!(asked <= 1);
        assert_eq!(below.map(shown), segment.get(probe, &bufs[1]).map(shown));
    }
    for probe in probes {
        let buf = ValueBuf::default();
        let found = segment.get(probe, &buf).map(|found| found.map(Entry::live));
        let text = soon_of_text(segment, probe);
        assert!(text != Soon::Unknown || !segment.has_text() || found.is_err());
        assert_ne!(text, Soon::Removed, "there are no tombstones");
        for soon in [segment.soon(probe), segment.soon_above(probe), text] {
            match soon {
                Soon::Value(value) => {
                    let value = &value.to_le_bytes()[..segment.number_width()];
                    assert_eq!(found, Ok(Some(Some(value))));
                }
                Soon::Removed => assert_eq!(found, Ok(Some(None))),
                Soon::Absent => assert_eq!(found, Ok(None)),
                Soon::Unknown => {}
            }
        }
    }
}

/// What the passes over text say about a key.
fn soon_of_text(segment: &Segment, key: &[u8]) -> Soon {
    let mut search = TextSearch::none();
    match search.begin(segment, key) {
        TextBegun::Unknown => Soon::Unknown,
        TextBegun::Absent => Soon::Absent,
        TextBegun::UnderWay => {
            search.narrow();
            search.settle().0
        }
    }
}

/// The keys from where a cursor stands to where its steps in this direction end, or the first of them.
/// What it lends on the way is what it comes to.
pub(crate) fn walk<C: Cursor>(
    cursor: &mut C,
    direction: Direction,
    is_sound: bool,
) -> Vec<Vec<u8>> {
    let (mut keys, mut bytes) = (vec![], 0);
    let mut ahead: VecDeque<(Vec<u8>, Vec<u8>)> = VecDeque::new();
    while cursor.valid() && keys.len() < WALKED_KEYS && bytes < WALKED_BYTES {
        let value = cursor.entry().live();
        if let (true, Some(lent)) = (ahead.is_empty(), cursor.lend(direction)) {
            // Nobody takes what is lent with a value that is damaged.
            let entries: Option<Vec<_>> = (0..lent.len()).map(|i| lent.entry(i)).collect();
            assert!(entries.is_some() || !is_sound, "lent what cannot be read");
            ahead.extend(entries.unwrap_or_default());
            if direction == Direction::Backward {
                ahead.make_contiguous().reverse();
            }
        }
        if let Some((key, lent)) = ahead.pop_front() {
            assert!((cursor.key(), value) == (&key, Some(&lent)), "lent what is not there");
        }
        bytes += cursor.key().len();
        keys.push(cursor.key().to_vec());
        match direction {
            Direction::Forward => cursor.next(),
            Direction::Backward => cursor.prev(),
        }
    }
    keys
}
