//! The workloads A to F of YCSB, one after the other on the same map.

use super::reads::Walking;
use super::{Sink, Task, time};
use crate::kind::{KeyList, Kind};
use crate::peer::{Answers, Peer, Walk};
use crate::random::{Random, Zipf, mix};

#[derive(Clone, Copy)]
enum Other {
    Update,
    Insert,
    ReadChangeWrite,
}

struct Workload {
    measure: &'static str,
    /// Operations in a hundred that read.
    reads: usize,
    other: Other,
    /// Reads are of the newest entries.
    latest: bool,
    /// Reads are walks of up to 100 entries.
    walks: bool,
}

const WORKLOADS: [Workload; 6] = {
    const fn plain(measure: &'static str, reads: usize, other: Other) -> Workload {
        Workload { measure, reads, other, latest: false, walks: false }
    }
    [
        plain("ycsb_a", 50, Other::Update),
        plain("ycsb_b", 95, Other::Update),
        plain("ycsb_c", 100, Other::Update),
        plain("ycsb_f", 50, Other::ReadChangeWrite),
        Workload { latest: true, ..plain("ycsb_d", 95, Other::Insert) },
        Workload { walks: true, ..plain("ycsb_e", 95, Other::Insert) },
    ]
};

/// Operations for one that a get is measured with.
const SHARE: usize = 2;
const LONGEST_WALK: usize = 100;

pub(super) fn measure<K: Kind + ?Sized>(
    task: &Task<'_, K>,
    peer: &mut dyn Peer<K>,
    walking: Walking,
    sink: &mut Sink<'_>,
) {
    let mut random = Random::new(0x7c5b);
    let operations = (task.probes() / SHARE).max(1);
    let set = task.set;
    let zipf = Zipf::new(set.entries.len(), 0.99);
    let mut fresh = 0;
    for workload in WORKLOADS {
        if workload.walks && walking == Walking::Slow {
            continue;
        }
        let operations = if workload.walks { (operations / 10).max(1) } else { operations };
        // What is done is drawn before the clock runs, and keys are read in order.
        let mut keys = K::List::default();
        let mut reads = Vec::new();
        for _ in 0..operations {
            let is_read = random.below(100) < workload.reads;
            let rank = zipf.rank(&mut random);
            let inserts = matches!(workload.other, Other::Insert);
            if !is_read && inserts && fresh < set.fresh.len() {
                keys.push(set.fresh.key(fresh));
                fresh += 1;
            } else if workload.latest && rank < fresh {
                keys.push(set.fresh.key(fresh - 1 - rank));
            } else if workload.latest {
                keys.push(set.entries.key(set.entries.len() - 1 - (rank - fresh)));
            } else {
                keys.push(set.entries.key(mix(rank as u64) as usize % set.entries.len()));
            }
            reads.push(is_read);
        }
        let mut answers = Answers::default();
        let mut walk = Walk::default();
        let (ns, ()) = time(operations, || {
            for (at, &is_read) in reads.iter().enumerate() {
                let key = keys.key(at);
                let new = at as u64;
                match workload.other {
                    _ if is_read && workload.walks => {
                        peer.walk(Some(key), 1 + at % LONGEST_WALK, &mut walk);
                    }
                    _ if is_read => answers.add(at, peer.get(key)),
                    Other::Update | Other::Insert => peer.insert(key, new),
                    Other::ReadChangeWrite => {
                        let old = peer.get(key);
                        answers.add(at, old);
                        peer.insert(key, old.unwrap_or(0).wrapping_add(1));
                    }
                }
            }
        });
        let Answers { found, sum } = answers;
        let sum = sum.wrapping_add(walk.sum);
        let checksum = format!("{found}:{}:{sum:016x}", walk.entries);
        sink.answered(workload.measure, ns, Some(checksum), None);
    }
}
