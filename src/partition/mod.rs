//! Throw-away stand-in: a pinned view is a copy of the whole tree.
#![allow(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "the signatures of the real thing"
)]

use crate::cursor::Cursor;
use crate::entry::{Below, Entry, ValueRef};
use crate::error::Corruption;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::ops::Bound;

pub(crate) type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
pub(crate) struct Pinned(pub(crate) Arc<Tree>);

impl Pinned {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<ValueRef<'_>>, Corruption> {
        Ok(self.0.get(key).map(|value| ValueRef::Inline(value)))
    }

    pub(crate) fn cursor(&self) -> LiveCursor {
        LiveCursor {
            tree: Arc::clone(&self.0),
            at: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct LiveCursor {
    tree: Arc<Tree>,
    at: Option<Vec<u8>>,
}

impl LiveCursor {
    fn go(&mut self, lower: Bound<&[u8]>, upper: Bound<&[u8]>, from_back: bool) {
        let mut range = self.tree.range::<[u8], _>((lower, upper));
        let found = if from_back {
            range.next_back()
        } else {
            range.next()
        };
        self.at = found.map(|(key, _)| key.clone());
    }
}

impl Cursor for LiveCursor {
    fn first(&mut self) {
        self.go(Bound::Unbounded, Bound::Unbounded, false);
    }
    fn last(&mut self) {
        self.go(Bound::Unbounded, Bound::Unbounded, true);
    }
    fn seek(&mut self, key: &[u8]) {
        self.go(Bound::Included(key), Bound::Unbounded, false);
    }
    fn seek_for_prev(&mut self, key: &[u8]) {
        self.go(Bound::Unbounded, Bound::Included(key), true);
    }
    fn next(&mut self) {
        if let Some(at) = self.at.take() {
            self.go(Bound::Excluded(&at), Bound::Unbounded, false);
        }
    }
    fn prev(&mut self) {
        if let Some(at) = self.at.take() {
            self.go(Bound::Unbounded, Bound::Excluded(&at), true);
        }
    }
    fn valid(&self) -> bool {
        self.at.is_some()
    }
    fn key(&self) -> &[u8] {
        self.at.as_deref().expect("positioned")
    }
    fn entry(&self) -> Entry<'_> {
        Entry::value(ValueRef::Inline(&self.tree[self.key()]), Below::Absent)
    }
}
