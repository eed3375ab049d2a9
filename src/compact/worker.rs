//! The one background thread of the process: folds what is due, and what has grown old.
//!
//! It starts with the first fold that will be due and knows maps only weakly, so it keeps none
//! alive. Nothing depends on it: a writer that finds a delta far over its budget folds it itself,
//! so a process that lost the thread (by a fork) goes on, slower.

use super::Core;
use crate::sync::{Arc, Condvar, Mutex, OnceLock, Weak, thread};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Waits for work; one for the whole process.
struct Worker {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    due: VecDeque<Weak<Core>>,
    /// At most one for each map.
    aging: Vec<Aging>,
    /// The process whose thread serves this queue: a forked child has the queue without it.
    served_by: Option<u32>,
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
}

static WORKER: OnceLock<Worker> = OnceLock::new();

fn worker() -> &'static Worker {
    WORKER.get_or_init(|| Worker { queue: Mutex::new(Queue::default()), wake: Condvar::new() })
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
    let worker = worker();
    let mut queue = worker.queue.lock();
    let process = std::process::id();
    if queue.served_by != Some(process) {
        let started = thread::Builder::new().name("memkv-compactor".into()).spawn(serve);
        if started.is_err() {
            return false;
        }
        queue.served_by = Some(process);
    }
    add(&mut queue);
    drop(queue);
    worker.wake.notify_one();
    true
}

/// The thread: never ends, holds no map while it waits.
fn serve() {
    loop {
        match next_job(worker()) {
            Job::Fold(core) => {
                if let Some(core) = core.upgrade() {
                    core.fold_due();
                }
            }
            Job::Sweep(core) => {
                if let Some(core) = core.upgrade() {
                    Core::sweep(&core);
                }
            }
        }
    }
}

fn next_job(worker: &Worker) -> Job {
    let mut queue = worker.queue.lock();
    loop {
        if let Some(core) = queue.due.pop_front() {
            return Job::Fold(core);
        }
        queue.aging.retain(|aging| aging.core.strong_count() > 0);
        let next = queue.aging.iter().enumerate().min_by_key(|(_, aging)| aging.at);
        #[expect(clippy::disallowed_methods, reason = "the compactor is the home of the clock")]
        let now = Instant::now();
        match next.map(|(i, aging)| (i, aging.at)) {
            Some((i, at)) if at <= now => {
                let aging = queue.aging.swap_remove(i);
                return Job::Sweep(aging.core);
            }
            Some((_, at)) => {
                let _ = worker.wake.wait_until(&mut queue, at);
            }
            None => worker.wake.wait(&mut queue),
        }
    }
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
