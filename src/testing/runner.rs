//! Runs tests one after the other on the main thread, for builds that ThreadSanitizer watches.
//!
//! The usual runner hears from its threads through parts of the standard library that were compiled
//! without the sanitizer, which then reports a race in the runner. It needs a nightly compiler, as
//! the sanitizer does.

extern crate test;

use test::{TestDescAndFn, TestFn};

/// Runs the tests whose names contain one of the program's arguments.
///
/// # Panics
/// If a test does, or if there is none.
pub(crate) fn run(tests: &[&TestDescAndFn]) {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut count = 0;
    for test in tests {
        let name = test.desc.name.as_slice();
        if let TestFn::StaticTestFn(body) = test.testfn
            && wanted.iter().any(|part| name.contains(part.as_str()))
        {
            println!("test {name}");
            body().expect("a test that fails panics");
            count += 1;
        }
    }
    assert!(count > 0, "no test has one of {wanted:?} in its name");
    println!("{count} passed");
}
