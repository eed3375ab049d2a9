//! Filled in with the conformance suite.
