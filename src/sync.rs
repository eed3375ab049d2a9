//! Every lock, atomic, `Arc` and thread of the crate, named in one place.
//!
//! Model checkers and ThreadSanitizer cannot see through the standard library's own primitives; a
//! build for one of them swaps the names here and nowhere else. Locks are `parking_lot`'s: one
//! byte to one word each, no poisoning, compiled (and so instrumented) with this crate.

pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, OnceLock, Weak};
pub(crate) use std::thread;
