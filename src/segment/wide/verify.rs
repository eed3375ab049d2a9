//! Proves heads and tails right: they ascend, and all bytes are those that we would write.

use super::pattern::{FRONT_LEN, MAX_LEN};
use super::{WideKeys, damaged};
use crate::error::Error;

impl WideKeys<'_> {
    /// Reads everything.
    pub(in super::super) fn verify(self) -> Result<(), Error> {
        self.heads.verify()?;
        let front = self.front()?;
        if !self.pattern.is_written_in(front) {
            return Err(damaged(0, "what nobody uses is zero").into());
        }
        let (mut first, mut key) = ([0; MAX_LEN], [0; MAX_LEN]);
        let len = self.key_len();
        let (mut heads, mut next, mut differing) = (Vec::new(), 0, 0);
        while next < self.len() {
            self.heads.unpack_piece(next, &mut heads)?;
            for head in &heads {
                self.join_all(next, &[*head], &mut key[..len])?;
                if next == 0 {
                    first = key;
                }
                for (i, (a, b)) in first.iter().zip(&key).enumerate() {
                    differing |= u64::from(a != b) << i;
                }
                next += 1;
            }
        }
        if !self.pattern.is_of(differing) {
            return Err(damaged(FRONT_LEN, "the bytes differ that are said to").into());
        }
        Ok(())
    }
}
