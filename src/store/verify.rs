//! Reading everything that a map consists of.

use crate::blocks::Blocks;
use crate::error::Corruption;
use crate::segment::Segment;
use crate::stats::VerifyProgress;
use crate::sync::Arc;

/// Reads and checks the files behind these segments, and then each segment by the rules of its
/// format.
pub(crate) fn verify<'a>(
    segments: impl Iterator<Item = &'a Arc<Segment>> + Clone,
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<(), Corruption> {
    let mut files: Vec<&Arc<Blocks>> = segments.clone().filter_map(|s| s.file()).collect();
    files.dedup_by(|a, b| Arc::ptr_eq(a, b));
    let file_bytes: u64 = files.iter().map(|file| file.len() as u64).sum();
    let image_bytes: u64 = segments.clone().map(|segment| segment.image().len() as u64).sum();
    let total_bytes = file_bytes + image_bytes;
    let mut tell = |done_bytes: u64| progress(VerifyProgress { done_bytes, total_bytes });
    let mut done_bytes = 0;
    tell(done_bytes);
    for file in files {
        let len = file.len() as u64;
        // Checksums are read too, but not counted.
        file.verify(&mut |done, _| tell(done_bytes + done.min(len)))?;
        done_bytes += len;
    }
    for segment in segments {
        segment.verify()?;
        done_bytes += segment.image().len() as u64;
        tell(done_bytes);
    }
    Ok(())
}
