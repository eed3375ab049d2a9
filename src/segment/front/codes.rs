//! The search of a block whose heads and suffixes are codes of symbols.
//!
//! It is that of text but for one thing: where a suffix is compared, its symbols are, one after the
//! other. What keys share is known in bytes, and where each suffix starts as the sum of lengths.

use super::block::Block;
use super::symbols::{Met, Symbols};
use super::tags::{TAGS, Tags};
use super::wanted::Wanted;

impl Block<'_> {
    /// As [`search`](Self::search), of codes.
    #[inline]
    pub(super) fn search_codes(
        &self,
        symbols: Symbols<'_>,
        key: &Wanted<'_>,
    ) -> Option<Result<usize, usize>> {
        let meet = |codes: &[u8], matched| symbols.meet(codes, key, matched);
        let matched = match meet(self.head, 0) {
            Met::Below(matched) => matched,
            Met::Equal => return Some(Ok(0)),
            Met::Above(_) => return Some(Err(0)),
        };
        let tags_at = self.len.checked_sub(self.rest.bytes.len() + self.rest.tags.len())?;
        match Tags::of(self.tail, tags_at) {
            Some(tags) if self.rest.tags.len() == TAGS => {
                let suffixes = self.rest.bytes;
                self.search_tags(&tags, matched, |start, len, matched| {
                    suffixes.get(start..start + len).map(|codes| meet(codes, matched))
                })
            }
            _ => self.search_each(matched, meet),
        }
    }
}
