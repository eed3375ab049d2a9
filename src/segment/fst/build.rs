//! Builds a transducer with the `fst` crate, streaming into scratch slabs.

use super::super::slabs::Column;
use crate::error::Error;
use bumpalo::Bump;
use fst::raw::Builder;

/// Keys being collected.
///
/// The crate keeps a table of recent nodes to find equal ones in, about a MiB from the general
/// allocator; the transducer itself goes to the slabs.
pub(in super::super) struct FstStage<'b> {
    builder: Builder<Column<'b>>,
}

impl<'b> FstStage<'b> {
    /// No keys yet.
    pub(in super::super) fn new(bump: &'b Bump) -> Result<Self, Error> {
        let builder = Builder::new(Column::new(bump)).map_err(|error| refusal(&error))?;
        Ok(Self { builder })
    }

    /// Appends the next key, which is greater than the last one.
    pub(in super::super) fn push(&mut self, key: &[u8], ordinal: u64) -> Result<(), Error> {
        self.builder.insert(key, ordinal).map_err(|error| refusal(&error))
    }

    /// The finished transducer.
    pub(in super::super) fn finish(self) -> Result<Column<'b>, Error> {
        self.builder.into_inner().map_err(|error| refusal(&error))
    }
}

/// What a failure of the crate's builder means. A column fails only for want of memory.
fn refusal(error: &fst::Error) -> Error {
    match error {
        fst::Error::Io(_) => Error::OutOfMemory,
        fst::Error::Fst(fault) => Error::FoldFailed { reason: fault.to_string() },
    }
}
