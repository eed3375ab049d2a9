//! The two kinds of keys, byte strings and 64-bit integers, and packed lists of them.

use std::hash::Hash;

/// What a key set is made of: `[u8]` or `u64`.
pub(crate) trait Kind:
    Ord + Hash + ToOwned<Owned: Ord + Hash + Clone + Send + Sync + 'static> + Send + Sync + 'static
{
    /// Keys in a row, so that reading the next probe costs next to nothing.
    type List: KeyList<Self>;
    /// The key as a structure over bytes owns it.
    type Encoded: AsRef<[u8]> + Clone + Send + Sync + 'static;

    /// Bytes that sort as the keys do.
    fn encode(&self) -> Self::Encoded;

    /// The key as a structure over bytes is asked for it; allocates nothing.
    fn with_bytes<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R;

    /// The same, followed by a zero byte where keys may be prefixes of each other.
    fn with_terminated<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R;

    /// A number that cannot be had without reading the key.
    fn weight(&self) -> u64;

    /// The same from the encoded key.
    fn encoded_weight(bytes: &[u8]) -> u64;

    /// For messages.
    fn show(&self) -> String;
}

pub(crate) trait KeyList<K: ?Sized>: Default + Send + Sync + 'static {
    fn len(&self) -> usize;
    fn key(&self, index: usize) -> &K;
    fn push(&mut self, key: &K);
    /// Bytes of all keys together, nothing else.
    fn key_bytes(&self) -> usize;

    fn gather(&self, positions: impl IntoIterator<Item = usize>) -> Self {
        let mut gathered = Self::default();
        positions.into_iter().for_each(|position| gathered.push(self.key(position)));
        gathered
    }
}

/// Byte strings, one after the other.
#[derive(Default, Clone)]
pub(crate) struct ByteList {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u64>,
}

/// Keys up to this length are terminated on the stack.
const TERMINATED_ON_STACK: usize = 255;

impl Kind for [u8] {
    type List = ByteList;
    type Encoded = Vec<u8>;

    fn encode(&self) -> Vec<u8> {
        self.to_vec()
    }

    fn with_bytes<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R {
        call(self)
    }

    fn with_terminated<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R {
        if self.len() <= TERMINATED_ON_STACK {
            let mut buffer = [0; TERMINATED_ON_STACK + 1];
            buffer[..self.len()].copy_from_slice(self);
            call(&buffer[..=self.len()])
        } else {
            call(&[self, &[0]].concat())
        }
    }

    fn weight(&self) -> u64 {
        self.len() as u64 + u64::from(self.last().copied().unwrap_or(0))
    }

    fn encoded_weight(bytes: &[u8]) -> u64 {
        bytes.weight()
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.escape_ascii())
    }
}

impl KeyList<[u8]> for ByteList {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn key(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start as usize..self.ends[index] as usize]
    }

    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u64);
    }

    fn key_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Kind for u64 {
    type List = Vec<u64>;
    type Encoded = [u8; 8];

    fn encode(&self) -> [u8; 8] {
        self.to_be_bytes()
    }

    fn with_bytes<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R {
        call(&self.to_be_bytes())
    }

    fn with_terminated<R>(&self, call: impl FnOnce(&[u8]) -> R) -> R {
        call(&self.to_be_bytes()) // all keys have one length
    }

    fn weight(&self) -> u64 {
        *self
    }

    fn encoded_weight(bytes: &[u8]) -> u64 {
        bytes.try_into().map_or(0, u64::from_be_bytes)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl KeyList<u64> for Vec<u64> {
    fn len(&self) -> usize {
        self.len()
    }

    fn key(&self, index: usize) -> &u64 {
        &self[index]
    }

    fn push(&mut self, key: &u64) {
        self.push(*key);
    }

    fn key_bytes(&self) -> usize {
        self.len() * size_of::<u64>()
    }
}
