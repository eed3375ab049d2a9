//! Gets that wait for memory together: each goes a step at a time, beside others.
//!
//! A get reads one place after the other, and each says where the next one is. A get in steps asks
//! for the memory of its next place and lets others go on until that has arrived. It takes the same
//! way as [`Segment::get`], made from the same parts, and gives the same answer or error.

use super::format::Layout;
use super::front::{DirectSearch, FrontSearch, Wanted};
use super::int::IntSearch;
use super::values::Values;
use super::wide::WideSearch;
use super::{Keys, Ordinal, Segment};
use crate::entry::{Entry, ValueBuf, ValueWidth};
use crate::error::Corruption;

/// A get under way, or nothing yet.
pub(crate) struct Lookup<'s, 'k> {
    /// What a search of text goes by.
    wanted: Wanted<'k>,
    at: At<'s, 'k>,
}

/// Where a get is.
enum At<'s, 'k> {
    Front(Source<'s>, FrontSearch<'s>),
    Int(Source<'s>, Values<'s>, IntSearch<'s>),
    Direct(Source<'s>, DirectSearch<'s, 'k>),
    Wide(Source<'s>, WideSearch<'s>),
    /// Before a get in one step, of a codec that has no others.
    Whole(&'s Segment, &'k [u8]),
    /// At an entry, whose value has been asked for.
    Entry(Source<'s>, Ordinal),
    /// Without an entry.
    Absent,
}

/// What an entry is read from.
#[derive(Clone, Copy)]
struct Source<'s> {
    segment: &'s Segment,
    layout: &'s Layout,
}

/// What a step leads to.
pub(crate) enum Stepped<'s> {
    /// There are further steps.
    Pending,
    /// The entry, if there is one.
    Done(Option<Entry<'s>>),
}

impl<'s, 'k> Lookup<'s, 'k> {
    /// Nothing yet.
    #[inline]
    pub(crate) fn none() -> Self {
        Self { wanted: Wanted::none(), at: At::Absent }
    }

    /// Makes this, which is nothing yet, a get of `key`. It is made where it stays, being too large to be handed
    /// around.
    #[inline]
    pub(crate) fn begin(&mut self, segment: &'s Segment, key: &'k [u8]) -> Result<(), Corruption> {
        let known = segment.known()?;
        let source = Source { segment, layout: &known.layout };
        match segment.keys_of(known) {
            Keys::Front(keys) => {
                if let Some(search) = keys.begin(key, &mut self.wanted)? {
                    self.at = At::Front(source, search);
                }
            }
            Keys::Int(keys) => {
                if let Some(search) = keys.begin(key)? {
                    self.at = At::Int(source, segment.values(source.layout), search);
                }
            }
            Keys::Direct(keys) => self.at = At::Direct(source, keys.begin(key)),
            Keys::Wide(keys) => self.at = At::Wide(source, keys.begin(key)?),
            Keys::Plain(_) | Keys::Fst(_) => self.at = At::Whole(segment, key),
        }
        Ok(())
    }

    /// Begins as [`begin`](Self::begin) does, if the segment is one that [`find`](Self::find) can be asked of:
    /// all of whose entries are values. Whether it is.
    #[inline]
    pub(crate) fn begin_find(&mut self, segment: &'s Segment, key: &'k [u8]) -> bool {
        // Damage will be met again.
        segment.known().is_ok_and(|known| known.layout.is_base())
            && self.begin(segment, key).is_ok()
            && !matches!(self.at, At::Whole(..))
    }

    /// Goes on to where the keys are that are told apart last, and asks for these: what comes between this and
    /// [`find`](Self::find) is not waited for besides.
    #[inline]
    pub(crate) fn hasten(&mut self) {
        if let At::Front(_, search) = &mut self.at {
            // Damage is met again in the same step.
            let _ = search.step(&self.wanted, |_| ());
        }
    }

    /// Goes on to the end: where the entry is. Its value is asked for when it is known to be there: most
    /// keys that are looked for in this way are not.
    #[inline]
    pub(crate) fn find(&mut self) -> Result<Option<Ordinal>, Corruption> {
        let found = loop {
            let found = match &mut self.at {
                At::Front(_, search) => search.step(&self.wanted, |_| ())?,
                At::Int(_, _, search) => search.step(|_| ())?,
                At::Direct(_, search) => search.step(|_| ())?.map(|found| found.map_err(|_| 0)),
                At::Wide(_, search) => search.step(|_| ())?,
                At::Whole(..) | At::Entry(..) | At::Absent => return Ok(None),
            };
            if let Some(found) = found {
                break found.ok();
            }
        };
        if let (Some(ordinal), At::Front(source, _) | At::Direct(source, _) | At::Wide(source, _)) =
            (found, &self.at)
        {
            source.expect_one(ordinal);
        }
        Ok(found.map(Ordinal))
    }

    /// Goes on. `buf` is where the value goes, if it has to be unpacked.
    #[inline]
    pub(crate) fn step<'b>(&mut self, buf: &'b ValueBuf) -> Result<Stepped<'b>, Corruption>
    where
        's: 'b,
    {
        let (source, found) = match &mut self.at {
            At::Front(source, search) => {
                (*source, search.step(&self.wanted, |first| source.expect(first))?)
            }
            At::Int(source, values, search) => {
                let (source, values) = (*source, *values);
                let found = search.step(|near| values.prefetch(near))?;
                if let Some(Ok(ordinal)) = found
                    && source.layout.width != ValueWidth::Bytes
                {
                    return source.entry_of(values, Ordinal(ordinal), buf);
                }
                (source, found)
            }
            At::Direct(source, search) => {
                let found = search.step(|near| source.expect_one(near))?;
                (*source, found.map(|found| found.map_err(|_| 0)))
            }
            At::Wide(source, search) => (*source, search.step(|near| source.expect(near))?),
            At::Whole(segment, key) => return segment.get(key, buf).map(Stepped::Done),
            At::Entry(source, ordinal) => return source.entry(*ordinal, buf),
            At::Absent => return Ok(Stepped::Done(None)),
        };
        match found {
            None => Ok(Stepped::Pending),
            Some(Err(_)) => Ok(Stepped::Done(None)),
            Some(Ok(ordinal)) if source.layout.width == ValueWidth::Bytes => {
                source.segment.values(source.layout).prefetch_item(ordinal);
                self.at = At::Entry(source, Ordinal(ordinal));
                Ok(Stepped::Pending)
            }
            Some(Ok(ordinal)) => source.entry(Ordinal(ordinal), buf),
        }
    }
}

impl<'s> Source<'s> {
    /// Asks for the values of a few entries from `first` on.
    #[inline]
    fn expect(&self, first: u64) {
        self.segment.values(self.layout).prefetch(first);
    }

    /// Asks for the value of an entry.
    #[inline]
    fn expect_one(&self, ordinal: u64) {
        self.segment.values(self.layout).prefetch_one(ordinal);
    }

    /// The last step.
    #[inline]
    fn entry<'b>(&self, ordinal: Ordinal, buf: &'b ValueBuf) -> Result<Stepped<'b>, Corruption>
    where
        's: 'b,
    {
        self.entry_of(self.segment.values(self.layout), ordinal, buf)
    }

    /// The same, with the segment's values.
    #[inline]
    fn entry_of<'b>(
        &self,
        values: Values<'s>,
        ordinal: Ordinal,
        buf: &'b ValueBuf,
    ) -> Result<Stepped<'b>, Corruption>
    where
        's: 'b,
    {
        let entry = self.segment.entry_of(self.layout, values, ordinal, buf)?;
        Ok(Stepped::Done(Some(entry)))
    }
}
