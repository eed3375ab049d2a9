//! Counting the cases of a sweep: how many passed and failed, and the first few that failed.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// Failures that are told in full.
const TOLD: usize = 5;

/// The cases of one sweep so far.
pub(crate) struct Tally {
    name: String,
    passed: u64,
    failures: Vec<String>,
    failed: u64,
}

impl Tally {
    /// No cases yet.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), passed: 0, failures: Vec::new(), failed: 0 }
    }

    /// Counts a case: passed if `body` returns, failed if it panics.
    pub(crate) fn case(&mut self, case: impl fmt::Display, body: impl FnOnce()) {
        match panic::catch_unwind(AssertUnwindSafe(body)) {
            Ok(()) => self.passed += 1,
            Err(panic) => {
                self.failed += 1;
                if self.failures.len() < TOLD {
                    self.failures.push(format!("{case}: {}", text(&*panic)));
                }
            }
        }
    }

    /// Prints the counts.
    ///
    /// # Panics
    /// If a case failed, or if there were fewer than `least`, so that the sweep swept nothing.
    pub(crate) fn finish(self, least: u64) {
        let Self { name, passed, failures, failed } = self;
        println!("{name}: {passed} passed, {failed} failed");
        assert_eq!(failed, 0, "{name}: {failures:#?}");
        assert!(passed >= least, "{name}: {passed} cases, but there should be {least}");
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without text".to_owned())
}
