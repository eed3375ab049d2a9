//! The processor's counters, where the kernel lets a program read them.

#[cfg(target_os = "linux")]
mod counters {
    use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Event, Hardware};
    use perf_event::{Builder, Counter};

    fn counter(event: impl Event + Clone) -> Option<Counter> {
        Builder::new(event).build().ok()
    }

    pub(super) fn all() -> Vec<(&'static str, Counter)> {
        let tlb =
            Cache { which: CacheId::DTLB, operation: CacheOp::READ, result: CacheResult::MISS };
        let named = [
            ("get_instructions", counter(Hardware::INSTRUCTIONS)),
            ("get_cache_misses", counter(Hardware::CACHE_MISSES)),
            ("get_tlb_misses", counter(tlb)),
        ];
        named.into_iter().filter_map(|(name, counter)| Some((name, counter?))).collect()
    }
}

/// What each counter says of `work`, divided by `items`. Counters that the kernel refuses are left
/// out; others run one after the other, since virtual machines have few.
#[cfg(target_os = "linux")]
pub(crate) fn count<R>(items: usize, mut work: impl FnMut() -> R) -> Vec<(&'static str, f64)> {
    let mut counted = Vec::new();
    for (name, mut counter) in counters::all() {
        if counter.enable().is_err() {
            continue;
        }
        std::hint::black_box(work());
        if counter.disable().is_ok()
            && let Ok(value) = counter.read()
        {
            counted.push((name, value as f64 / items.max(1) as f64));
        }
    }
    counted
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn count<R>(_: usize, _: impl FnMut() -> R) -> Vec<(&'static str, f64)> {
    Vec::new()
}
