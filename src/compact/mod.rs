//! Throw-away stand-in: the untyped map over a locked `BTreeMap`.
#![allow(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "the signatures of the real thing"
)]

use crate::entry::{MAX_KEY_LEN, ValueWidth};
use crate::error::{Corruption, Error, SortFault};
use crate::options::Options;
use crate::partition::{Pinned, Tree};
use crate::stats::{MemoryUsage, Stats};
use crate::sync::{Arc, RwLock};

#[derive(Debug)]
pub(crate) struct Core {
    tree: RwLock<Tree>,
    width: ValueWidth,
}

impl Core {
    pub(crate) fn new(width: ValueWidth, _options: Options) -> Self {
        Self {
            tree: RwLock::default(),
            width,
        }
    }

    pub(crate) fn add_handle(&self) {}

    pub(crate) fn drop_handle(&self) {}

    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        f: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Corruption> {
        Ok(self.tree.read().get(key).map(|value| f(value)))
    }

    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, Corruption> {
        Ok(self.tree.read().contains_key(key))
    }

    pub(crate) fn pin(&self) -> Pinned {
        Pinned(Arc::new(self.tree.read().clone()))
    }

    pub(crate) fn put(self: &Arc<Self>, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.insert(key, value, |_| ()).map(|_| ())
    }

    pub(crate) fn insert<R>(
        self: &Arc<Self>,
        key: &[u8],
        value: &[u8],
        old: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        if key.len() > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key.len() });
        }
        if let ValueWidth::Fixed(width) = self.width {
            assert_eq!(value.len(), usize::from(width));
        }
        let replaced = self.tree.write().insert(key.to_vec(), value.to_vec());
        Ok(replaced.map(|value| old(&value)))
    }

    pub(crate) fn delete(self: &Arc<Self>, key: &[u8]) -> Result<(), Error> {
        self.remove(key, |_| ()).map(|_| ())
    }

    pub(crate) fn remove<R>(
        self: &Arc<Self>,
        key: &[u8],
        old: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Error> {
        if key.len() > MAX_KEY_LEN {
            return Err(Error::KeyTooLong { len: key.len() });
        }
        Ok(self.tree.write().remove(key).map(|value| old(&value)))
    }

    pub(crate) fn clear(&self) {
        self.tree.write().clear();
    }

    pub(crate) fn len(&self) -> u64 {
        self.tree.read().len() as u64
    }

    pub(crate) fn compact(&self) -> Result<(), Error> {
        Ok(())
    }

    pub(crate) fn extend_sorted(
        self: &Arc<Self>,
        fill: &mut dyn FnMut(&mut Vec<u8>, &mut Vec<u8>) -> bool,
    ) -> Result<u64, Error> {
        let mut added: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        while fill(&mut key, &mut value) {
            if key.len() > MAX_KEY_LEN {
                return Err(Error::KeyTooLong { len: key.len() });
            }
            let index = added.len() as u64;
            let order = added.last().map(|(last, _)| key.cmp(last));
            let fault = |order| Err(Error::OutOfOrder { index, order });
            match order {
                Some(std::cmp::Ordering::Less) => return fault(SortFault::Descending),
                Some(std::cmp::Ordering::Equal) => return fault(SortFault::Duplicate),
                _ => added.push((key.clone(), value.clone())),
            }
        }
        let count = added.len() as u64;
        self.tree.write().extend(added);
        Ok(count)
    }

    pub(crate) fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage {
            overhead: size_of::<Self>() + 16,
            ..MemoryUsage::default()
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            entries: self.len(),
            ..Stats::default()
        }
    }
}
