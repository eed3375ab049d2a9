//! Reading one key: layers above the base are searched only where their filters do not rule it out,
//! all of which are asked before any layer is.
#![allow(clippy::inline_always, reason = "a get is one function down to the search of a layer")]

use super::{Layers, Partition, State};
use crate::arena::prefetch_value;
use crate::entry::{Entry, ValueBuf, ValueWidth};
use crate::error::Corruption;
use crate::filter::{Filter, KeyHash};
use crate::segment::Soon;
use crate::sync::read_soon;

/// Those of the layers that may have an entry of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asked(u8);

impl Asked {
    const NONE: Self = Self(0);
    const DELTA: Self = Self(1);
    const FROZEN: Self = Self(2);
    const OVERLAY: Self = Self(4);

    /// These, if `is_there`.
    #[inline]
    fn with(self, other: Self, is_there: bool) -> Self {
        // No branch: most often there is none, and what is found there is waited for.
        Self(self.0 | (other.0 * u8::from(is_there)))
    }

    #[inline]
    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Partition {
    /// Calls `f`, which is code of this crate, with the live value of `key` under the read lock.
    /// `None` if the partition is retired.
    #[inline(always)]
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        f: impl FnOnce(&[u8]) -> R,
    ) -> Option<Result<Option<R>, Corruption>> {
        let state = read_soon(&self.state);
        if state.is_retired() {
            return None;
        }
        let Some(layers) = state.layers.as_deref() else {
            let delta = state.delta.as_deref();
            let found = delta.and_then(|delta| delta.tree.get(key));
            self.note_hit(found.is_some().then_some(0));
            return Some(Ok(found.and_then(Entry::live).map(f)));
        };
        let mut asked = None;
        let soon = match layers.base.as_deref() {
            None => Soon::Unknown,
            Some(base) => {
                prefetch_value(base);
                if state.delta.is_none() && layers.is_base_only() {
                    asked = Some(Asked::NONE);
                    base.soon(key)
                } else if base.has_numbers() {
                    // A search among numbers has so little to read that nothing is spared by asking the
                    // filters on the way.
                    let newer = state.newer(layers, key);
                    asked = Some(newer);
                    if newer == Asked::NONE { base.soon(key) } else { Soon::Unknown }
                } else {
                    Soon::Unknown
                }
            }
        };
        match (soon, self.width) {
            (Soon::Value(value), ValueWidth::Fixed(width)) => {
                self.note_hit(Some(3));
                let bytes = value.to_le_bytes();
                return Some(Ok(bytes.get(..usize::from(width)).map(f)));
            }
            (Soon::Absent, _) => return Some(Ok(None)),
            (Soon::Value(_), ValueWidth::Bytes) | (Soon::Removed | Soon::Unknown, _) => {}
        }
        let buf = ValueBuf::default();
        match state.find(layers, asked, key, &buf) {
            Ok((said, layer)) => {
                self.note_hit(layer);
                Some(Ok(said.map(f)))
            }
            Err(corruption) => Some(Err(corruption)),
        }
    }
}

impl State {
    /// Which of the delta and the layers above the base may have an entry of `key`.
    #[inline(never)]
    fn newer(&self, layers: &Layers, key: &[u8]) -> Asked {
        self.ask_filters(layers, KeyHash::of(key))
    }

    /// Asks for what the filters will be asked for.
    #[inline]
    fn ask_for_filters(&self, layers: &Layers, hash: KeyHash) {
        if let Some(filter) = self.delta.as_deref().and_then(|delta| delta.filter.as_deref()) {
            filter.ask(hash);
        }
        layers.ask_for_filters(hash);
    }

    /// The same of a key with this hash.
    #[inline]
    fn ask_filters(&self, layers: &Layers, hash: KeyHash) -> Asked {
        let delta = self.delta.as_deref();
        let may_hold =
            |filter: Option<&Filter>| filter.is_none_or(|filter| filter.may_contain(hash));
        let in_delta = delta.is_some_and(|delta| may_hold(delta.filter.as_deref()));
        let in_frozen = layers.frozen.as_ref().is_some_and(|frozen| may_hold(frozen.filter()));
        let in_overlay = layers.overlay.as_ref().is_some_and(|overlay| may_hold(overlay.filter()));
        Asked::NONE
            .with(Asked::DELTA, in_delta)
            .with(Asked::FROZEN, in_frozen)
            .with(Asked::OVERLAY, in_overlay)
    }

    /// The live value of `key` in the newest of these layers that has an entry of it, and the number of
    /// that layer. `asked` are those above the base that may have one, if it is known. `buf` is where the
    /// value goes, if it has to be unpacked.
    #[inline(never)]
    fn find<'a>(
        &'a self,
        layers: &'a Layers,
        asked: Option<Asked>,
        key: &[u8],
        buf: &'a ValueBuf,
    ) -> Result<(Option<&'a [u8]>, Option<usize>), Corruption> {
        let in_base =
            |found: Option<Entry<'a>>| (found.and_then(Entry::live), found.is_some().then_some(3));
        let asked = match (asked, &layers.base) {
            (Some(asked), _) => asked,
            (None, None) => self.newer(layers, key),
            (None, Some(base)) => {
                let hash = KeyHash::of(key);
                self.ask_for_filters(layers, hash);
                let mut newer = None;
                let found = base.get_below(key, buf, &mut || {
                    let said = self.ask_filters(layers, hash);
                    newer = Some(said);
                    said == Asked::NONE
                });
                // Damage of the base does not matter to a key that is above it.
                match newer.unwrap_or_else(|| self.ask_filters(layers, hash)) {
                    Asked::NONE => return found.map(in_base),
                    newer => newer,
                }
            }
        };
        if asked.has(Asked::DELTA)
            && let Some(entry) = self.delta.as_ref().and_then(|delta| delta.tree.get(key))
        {
            return Ok((entry.live(), Some(0)));
        }
        if asked.has(Asked::FROZEN)
            && let Some(entry) = layers.frozen.as_ref().and_then(|frozen| frozen.tree.get(key))
        {
            return Ok((entry.live(), Some(1)));
        }
        if asked.has(Asked::OVERLAY)
            && let Some(overlay) = layers.overlay()
        {
            match overlay.soon_above(key) {
                Soon::Value(value) => {
                    let value = buf.hold(value.to_le_bytes(), overlay.number_width());
                    return Ok((Some(value), Some(2)));
                }
                Soon::Removed => return Ok((None, Some(2))),
                Soon::Absent => {}
                Soon::Unknown => {
                    if let Some(entry) = overlay.get(key, buf)? {
                        return Ok((entry.live(), Some(2)));
                    }
                }
            }
        }
        let Some(base) = &layers.base else { return Ok((None, None)) };
        base.get(key, buf).map(in_base)
    }
}
