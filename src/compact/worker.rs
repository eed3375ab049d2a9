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
use crate::sync::{Arc, Mutex, OnceLock, Weak, thread};
use std::collections::VecDeque;
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
        let busy = Busy::begin();
        let job = next_job(&mut queue().lock());
        match job {
            Job::Fold(core) => {
                if let Some(core) = core.upgrade() {
                    core.fold_due(busy);
                }
            }
            Job::Sweep(core) => {
                if let Some(core) = core.upgrade() {
                    Core::sweep(&core, busy);
                }
            }
            Job::Sleep(time) => {
                drop(busy);
                // What is posted from here on ends it at once.
                match time {
                    Some(time) => thread::park_timeout(time),
                    None => thread::park(),
                }
            }
        }
    }
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
    use super::*;
    use crate::entry::ValueWidth;
    use crate::options::Options;

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
}
