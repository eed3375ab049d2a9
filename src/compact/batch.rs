//! Gets of many keys at once.

use super::Core;
use crate::error::Corruption;
use crate::key::MAX_KEY_LEN;
use crate::partition::{BATCH, Batch, Numbers};

impl Core {
    /// Calls `answer`, which is code of this crate and may run under a read lock, with the number
    /// and the value of each of the keys that has one. There are at most [`BATCH`] of them.
    ///
    /// Keys of one partition are looked up at one moment; no lock is held while another one is
    /// waited for, nor while a segment is read.
    pub(crate) fn get_batch(
        &self,
        keys: &[&[u8]],
        mut answer: impl FnMut(usize, &[u8]),
    ) -> Result<(), Corruption> {
        let mut asked = Numbers::default();
        for (number, key) in keys.iter().enumerate() {
            if key.len() <= MAX_KEY_LEN {
                asked.insert(number);
            }
        }
        let mut batch = Batch::new();
        let retired = self.begin_batch(keys, asked, &mut batch, &mut answer);
        batch.find(keys, &mut answer)?;
        for number in retired {
            // It may be divided again meanwhile.
            self.ask(keys[number], |partition, _| {
                partition.get(keys[number], |value| answer(number, value))
            })?;
        }
        Ok(())
    }

    /// Looks for the keys in the deltas of their partitions. Answers which keys' partitions are
    /// retired, so that they were not looked for.
    fn begin_batch(
        &self,
        keys: &[&[u8]],
        asked: Numbers,
        batch: &mut Batch,
        answer: &mut impl FnMut(usize, &[u8]),
    ) -> Numbers {
        let Some(many) = self.many.get() else {
            let is_done = self.first.begin_batch(keys, asked, batch, answer);
            return if is_done { Numbers::default() } else { asked };
        };
        let directory = many.routes.read();
        let mut positions = [0; BATCH];
        for number in asked {
            positions[number] = directory.position(keys[number]);
        }
        let (mut left, mut retired) = (asked, Numbers::default());
        while let Some(first) = left.into_iter().next() {
            let same = left.and(Numbers::which(|number| positions[number] == positions[first]));
            left = left.without(same);
            let partition = &directory.partitions()[positions[first]];
            if !partition.begin_batch(keys, same, batch, answer) {
                for number in same {
                    retired.insert(number);
                }
            }
        }
        retired
    }
}
