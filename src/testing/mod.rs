//! Test machinery shared by all layers; compiled only into builds for tests and fuzzers.
//!
//! [`conformance`] checks one sorted layer against a `BTreeMap`, [`model`] drives a whole map with
//! random operations from a [`script`], [`stress`] does so from several threads. [`driven`] is the
//! public map as these see it. [`fuzz`] turns bytes into such operations, and into damaged files.
//! [`memory_storage`] has files that can fail and be damaged. [`keys`] has the key sets, [`rng`] the
//! seeds that replay a run. [`vec_layer`] and [`layered_map`] are simple references, right and
//! deliberately broken, with which the machinery is tested itself.

pub(crate) mod conformance;
pub(crate) mod driven;
pub(crate) mod fuzz;
pub(crate) mod keys;
pub(crate) mod layered_map;
pub(crate) mod memory_storage;
pub(crate) mod model;
#[cfg(memkv_loom)]
mod models;
pub(crate) mod rng;
#[cfg(memkv_tsan)]
pub(crate) mod runner;
pub(crate) mod script;
pub(crate) mod stress;
pub(crate) mod tally;
pub(crate) mod vec_layer;

use std::any::Any;
use std::{fmt, panic, thread};

/// A stack that is enough for every operation, whatever the keys.
pub(crate) const SMALL_STACK_BYTES: usize = 128 << 10;

/// Runs `body` on a thread with so small a stack that recursion by key length overflows it.
pub(crate) fn on_small_stack(body: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(SMALL_STACK_BYTES);
        let thread = builder.spawn_scoped(scope, body).expect("a thread can be started");
        if let Err(panic) = thread.join() {
            panic::resume_unwind(panic);
        }
    });
}

/// Bytes in an assertion's message: the whole string if it is short, else its ends and its length.
pub(crate) struct Brief<'a>(pub(crate) &'a [u8]);

/// Longest byte string that is printed whole.
const BRIEF_WHOLE: usize = 40;

/// Bytes shown of each end of a longer one.
const BRIEF_END: usize = 12;

impl fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        if bytes.len() <= BRIEF_WHOLE {
            return write!(f, "b\"{}\"", bytes.escape_ascii());
        }
        let (head, tail) = (&bytes[..BRIEF_END], &bytes[bytes.len() - BRIEF_END..]);
        let (head, tail) = (head.escape_ascii(), tail.escape_ascii());
        write!(f, "b\"{head}..{tail}\" ({} bytes)", bytes.len())
    }
}

/// The text of a caught panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else {
        "a panic without text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::panic_text;
    use super::tally::Tally;
    use std::panic::{self, AssertUnwindSafe};

    #[test]
    fn a_sweep_with_a_failed_case_or_too_few_cases_fails() {
        let finished = |cases: &[bool], least| {
            let mut tally = Tally::new("a sweep");
            for (case, passes) in cases.iter().enumerate() {
                tally.case(case, || assert!(passes, "case {case} fails"));
            }
            panic::catch_unwind(AssertUnwindSafe(|| tally.finish(least)))
        };
        assert!(finished(&[true, true], 2).is_ok());
        assert!(finished(&[true, true], 3).is_err());
        let failed = finished(&[true, false, true], 2).expect_err("a case failed");
        let text = panic_text(&*failed);
        assert!(text.contains("1: case 1 fails"), "{text}");
    }
}
