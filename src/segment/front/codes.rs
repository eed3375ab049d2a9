//! The search of a block whose heads and suffixes are codes of symbols.
//!
//! It is that of text but for one thing: where a suffix is compared, its symbols are, one after the
//! other. What keys share is known in bytes, and where each suffix starts as the sum of lengths.

use super::block::{Block, Suffix};
use super::symbols::{Met, Symbols};
use super::tags::{TAGS, Tags};
use super::wanted::Wanted;
use crate::planted::{Bug, planted};

impl Block<'_> {
    /// As [`search`](Self::search), of codes.
    #[inline]
    pub(super) fn search_codes(
        self,
        symbols: Symbols<'_>,
        key: &Wanted<'_>,
    ) -> Option<Result<usize, usize>> {
        let matched = match symbols.meet(self.head, key, 0) {
            Met::Below(matched) => matched,
            Met::Equal => return Some(Ok(0)),
            Met::Above => return Some(Err(0)),
        };
        let tags_at = self.len.checked_sub(self.rest.bytes.len() + self.rest.tags.len())?;
        match Tags::of(self.tail, tags_at) {
            Some(tags) if self.rest.tags.len() == TAGS => {
                self.search_tags(&tags, symbols, key, matched)
            }
            _ => self.search_one_by_one(symbols, key, matched),
        }
    }

    /// Goes on behind the head, of which so many bytes have been met, with all tags at once.
    #[inline]
    fn search_tags(
        self,
        tags: &Tags,
        symbols: Symbols<'_>,
        key: &Wanted<'_>,
        mut matched: usize,
    ) -> Option<Result<usize, usize>> {
        let mut passed = 0;
        while let Some(over) = matched.checked_sub(self.rest.common) {
            let Some(next) = tags.next_not_above(over, passed) else {
                break;
            };
            let (shared, start, len) = tags.get(next);
            if shared < over && !planted(Bug::BlockSearchPassesBy) {
                return Some(Err(next + 1));
            }
            match symbols.meet(self.rest.bytes.get(start..start + len)?, key, matched) {
                Met::Below(now) => matched = now,
                Met::Equal => return Some(Ok(next + 1)),
                Met::Above => return Some(Err(next + 1)),
            }
            passed = next + 1;
        }
        Some(Err(TAGS + 1))
    }

    /// Goes on behind the head, of which so many bytes have been met, key by key.
    fn search_one_by_one(
        mut self,
        symbols: Symbols<'_>,
        key: &Wanted<'_>,
        mut matched: usize,
    ) -> Option<Result<usize, usize>> {
        for (before, &tag) in self.rest.tags.iter().enumerate() {
            let Suffix { shared, bytes } = self.rest.take(tag)?;
            if shared > matched {
                continue;
            }
            if shared < matched && !planted(Bug::BlockSearchPassesBy) {
                return Some(Err(before + 1));
            }
            match symbols.meet(bytes, key, matched) {
                Met::Below(now) => matched = now,
                Met::Equal => return Some(Ok(before + 1)),
                Met::Above => return Some(Err(before + 1)),
            }
        }
        Some(Err(self.rest.tags.len() + 1))
    }
}
