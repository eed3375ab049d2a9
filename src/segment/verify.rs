//! Reads a whole segment and checks every rule of its format.

use super::format::Section;
use super::{Ordinal, Segment};
use crate::error::{Corruption, Error};

impl Segment {
    /// Checks everything: checksums, padding, key order, that keys and ordinals lead to each
    /// other, bit columns, value places, extents and the weight.
    ///
    /// Takes time proportional to the image. A transducer needs up to 40 bytes of memory for each
    /// of its nodes meanwhile, front-coded keys what a block and a path of the tree take, a
    /// point index as much as it has bytes, packed numbers half a MiB.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        let layout = self.layout()?;
        layout.verify(self.image())?;
        self.keys()?.verify()?;
        let (tombstones, below) = (self.tombstones(layout), self.live_below(layout));
        tombstones.verify()?;
        below.verify()?;
        self.values(layout).verify(self.len(), |ordinal| tombstones.bit(ordinal))?;
        self.extents.verify()?;
        if self.weight_before(Ordinal(self.len()))? != self.weight() {
            let rule = "the header has the sum of all weights";
            return Err(Corruption::new(Section::LiveBelow.part(), 0, rule).into());
        }
        Ok(())
    }
}
