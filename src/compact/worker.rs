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

/// A delta that will be old.
struct Aging {
    at: Instant,
    core: Weak<Core>,
    serial: u64,
}

impl Queue {
    /// Replaces what was known of an older delta of the same map, which is gone.
    fn watch(&mut self, new: Aging) {
        match self.aging.iter_mut().find(|known| known.core.ptr_eq(&new.core)) {
            Some(known) if known.serial < new.serial => *known = new,
            Some(_) => {}
            None => self.aging.push(new),
        }
    }
}

/// What the thread does next.
enum Job {
    Fold(Weak<Core>),
    FoldAged(Weak<Core>, u64),
}

static WORKER: OnceLock<Worker> = OnceLock::new();

fn worker() -> &'static Worker {
    WORKER.get_or_init(|| Worker { queue: Mutex::new(Queue::default()), wake: Condvar::new() })
}

/// Asks for a fold of `core`'s delta; `false` if no thread could be started.
pub(super) fn fold_soon(core: &Arc<Core>) -> bool {
    post(|queue| queue.due.push_back(Arc::downgrade(core)))
}

/// Asks for a fold of the delta with this number when it is `age` old, if it is there then.
pub(super) fn fold_when_aged(core: &Arc<Core>, serial: u64, age: Duration) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the compactor is the home of the clock")]
    let Some(at) = Instant::now().checked_add(age) else { return true };
    post(|queue| queue.watch(Aging { at, core: Arc::downgrade(core), serial }))
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
            Job::FoldAged(core, serial) => {
                if let Some(core) = core.upgrade() {
                    core.fold_aged(serial);
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
                return Job::FoldAged(aging.core, aging.serial);
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
    fn the_newest_delta_of_each_map_is_watched_and_no_other() {
        let core = || Arc::new(Core::new(ValueWidth::Bytes, Options::default()));
        let maps = [core(), core()];
        let mut queue = Queue::default();
        #[expect(clippy::disallowed_methods, reason = "the compactor is the home of the clock")]
        let at = Instant::now();
        for serial in [0, 2, 1, 7, 6] {
            for core in &maps {
                queue.watch(Aging { at, core: Arc::downgrade(core), serial });
            }
        }
        let watched: Vec<u64> = queue.aging.iter().map(|aging| aging.serial).collect();
        assert_eq!(watched, [7, 7]);
    }
}
