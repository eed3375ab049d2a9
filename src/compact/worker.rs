//! The one background thread of the process: folds what is due, and what has grown old.
//!
//! It starts with the first fold that will be due and knows maps only weakly, so it keeps none
//! alive. Nothing depends on it: a writer that finds a delta far over its budget folds it itself,
//! so a process that lost the thread (by a fork) goes on, slower, until it starts its own.
//!
//! While it has work it is [`Busy`], so a fork meets none of its locks. It sleeps without being in a
//! queue that the child would have a copy of.

use super::Core;
use crate::sync::forks::{self, Busy};
use crate::sync::{Arc, AtomicU8, Mutex, OnceLock, Ordering, Weak, thread};
use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Queue {
    due: VecDeque<Weak<Core>>,
    /// At most one for each map.
    aging: Vec<Aging>,
    /// The thread that serves this queue, and its process: a forked child has the queue without it.
    server: Option<(u32, thread::Thread)>,
}

/// A map whose deltas will be looked at for their age.
struct Aging {
    at: Instant,
    core: Weak<Core>,
}

impl Queue {
    /// Notes when to look at a map; once for each.
    fn watch(&mut self, new: Aging) {
        match self.aging.iter_mut().find(|known| known.core.ptr_eq(&new.core)) {
            Some(known) => *known = new,
            None => self.aging.push(new),
        }
    }
}

/// What the thread does next.
enum Job {
    Fold(Weak<Core>),
    Sweep(Weak<Core>),
    /// Nothing, for so long, or until something is posted.
    Sleep(Option<Duration>),
}

/// Whether something has been asked of the worker and has not begun.
///
/// It is the generation of the process that asked, or zero: a forked child has the word, but not the
/// thread that will take it back.
pub(super) struct Asked(AtomicU8);

impl Asked {
    /// Nothing has been asked.
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Notes that it is asked now; answers whether it had not been.
    pub(super) fn note(&self) -> bool {
        let generation = forks::generation();
        self.0.swap(generation, Ordering::AcqRel) != generation
    }

    /// It has begun, or could not be asked.
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Release);
    }
}

/// One for the whole process.
fn queue() -> &'static Mutex<Queue> {
    static QUEUE: OnceLock<Mutex<Queue>> = OnceLock::new();
    QUEUE.get_or_init(|| Mutex::new(Queue::default()))
}

/// Asks for a fold of `core`'s delta; `false` if no thread could be started.
pub(super) fn fold_soon(core: &Arc<Core>) -> bool {
    post(|queue| queue.due.push_back(Arc::downgrade(core)))
}

/// Asks for a look at the age of `core`'s deltas in this time; `false` if no thread could be
/// started.
pub(super) fn sweep_after(core: &Arc<Core>, time: Duration) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the compactor is the home of the clock")]
    let Some(at) = Instant::now().checked_add(time) else { return true };
    post(|queue| queue.watch(Aging { at, core: Arc::downgrade(core) }))
}

fn post(add: impl FnOnce(&mut Queue)) -> bool {
    let mut queue = queue().lock();
    let process = std::process::id();
    if queue.server.as_ref().is_none_or(|(served, _)| *served != process) {
        forks::await_busy_threads();
        let started = thread::Builder::new().name("memkv-compactor".into()).spawn(serve);
        let Ok(thread) = started else { return false };
        queue.server = Some((process, thread.thread().clone()));
    }
    add(&mut queue);
    let thread = queue.server.as_ref().map(|(_, thread)| thread.clone());
    drop(queue);
    if let Some(thread) = thread {
        thread.unpark();
    }
    true
}

/// The thread: never ends, holds no map while it sleeps.
fn serve() {
    loop {
        // A panic is a bug, of one map: the others are served on. What it was at stays where it was.
        let slept = catch_unwind(|| work(Busy::begin()));
        // What is posted from here on ends it at once.
        match slept {
            Ok(Some(Some(time))) => thread::park_timeout(time),
            Ok(Some(None)) => thread::park(),
            Ok(None) | Err(_) => {}
        }
    }
}

/// Does the next job; answers for how long there is none, if it is known, when there is none.
#[expect(clippy::option_option, reason = "no job, for no known time")]
fn work(mut busy: Busy) -> Option<Option<Duration>> {
    let job = next_job(&mut queue().lock());
    // Given back behind the map, of which this may be the last user.
    match job {
        Job::Fold(core) => {
            if let Some(core) = core.upgrade() {
                busy = core.fold_due(busy);
            }
        }
        Job::Sweep(core) => {
            if let Some(core) = core.upgrade() {
                busy = Core::sweep(&core, busy);
            }
        }
        Job::Sleep(time) => return Some(time),
    }
    drop(busy);
    None
}

fn next_job(queue: &mut Queue) -> Job {
    if let Some(core) = queue.due.pop_front() {
        return Job::Fold(core);
    }
    queue.aging.retain(|aging| aging.core.strong_count() > 0);
    let next = queue.aging.iter().enumerate().min_by_key(|(_, aging)| aging.at);
    let Some((i, aging)) = next else { return Job::Sleep(None) };
    #[expect(clippy::disallowed_methods, reason = "the compactor is the home of the clock")]
    let left = aging.at.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Job::Sweep(queue.aging.swap_remove(i).core);
    }
    Job::Sleep(Some(left))
}

#[cfg(test)]
mod tests {
    use super::super::policy::{self, Pressure};
    use super::*;
    use crate::entry::ValueWidth;
    use crate::options::Options;
    use crate::testing::keys::big_endian;

    #[test]
    fn each_map_is_watched_once_from_the_newest_time_on() {
        let core = || Arc::new(Core::new(ValueWidth::Bytes, Options::default()));
        let maps = [core(), core()];
        let mut queue = Queue::default();
        #[expect(clippy::disallowed_methods, reason = "the compactor is the home of the clock")]
        let start = Instant::now();
        for seconds in [5, 2, 7] {
            for core in &maps {
                let at = start + Duration::from_secs(seconds);
                queue.watch(Aging { at, core: Arc::downgrade(core) });
            }
        }
        let watched: Vec<Duration> = queue.aging.iter().map(|aging| aging.at - start).collect();
        assert_eq!(watched, [Duration::from_secs(7); 2]);
    }

    #[test]
    fn a_map_that_another_process_has_asked_for_is_folded_here() {
        let options = Options { overlay_percent: 0.0, ..Options::default() };
        let core = Arc::new(Core::new(ValueWidth::Fixed(8), options));
        core.add_handle();
        let put = |n| Core::put(&core, &big_endian(n), &[1; 8]).expect("memory");
        (0..100_000).for_each(put);
        core.compact().expect("memory");
        // As a fork leaves it: asked for, by who is not this process, and nobody will begin.
        while core.queued.0.load(Ordering::Acquire) != 0 {
            std::thread::yield_now();
        }
        core.queued.0.store(u8::MAX, Ordering::Release);
        let folds = core.stats().folds;
        let mut next = 100_000;
        while core.queued.0.load(Ordering::Acquire) == u8::MAX {
            let pressure = policy::pressure(core.load(), &core.options);
            assert!(pressure < Pressure::Overdue, "the worker has not been asked");
            put(next);
            next += 1;
        }
        for _ in 0..1_000 {
            if core.stats().folds > folds {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the worker has not folded");
    }
}
