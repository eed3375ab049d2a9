//! Which partitions are folded next.

use super::policy::{self, Dirt, Pressure};
use super::{Core, Found, address};
use crate::partition::{Load, Partition, Shared};
use crate::sync::Ordering;
use std::ops::Deref;

/// Of so many partitions, one more is chosen in a look at all of them: a fold would take less time than
/// that otherwise, if there are very many.
const CHOSEN_OF: usize = 64;

/// Whether the delta has not met damage, or has doubled since.
pub(super) fn is_worth_a_try(partition: &Partition) -> bool {
    let gauge = partition.gauge();
    gauge.load().bytes >> 10 >= gauge.retry_kib.load(Ordering::Relaxed) as usize
}

impl Core {
    /// Folds the deltas that are chosen by the policy until none is due, as many at once as there are
    /// threads to do so; whether anything was folded. The slot is held, and what a writer folds aside
    /// is left alone.
    pub(super) fn fold_chosen(&self) -> bool {
        let most = (self.options.threads as usize).saturating_add(1);
        let claimed = self.folded_aside();
        let is_free = |partition: &Partition| address(partition) != claimed;
        let mut chosen = self.chosen_before(most, &is_free);
        if chosen.is_empty() {
            let due;
            (chosen, due) = self.choose(most, &is_free);
            let later = chosen.split_off(due);
            if let Some(many) = self.many.get() {
                let later = later.into_iter().filter_map(|one| match one {
                    Found::Shared(partition) => Some(partition),
                    Found::First(_) => None,
                });
                many.waiting.lock().extend(later);
            }
        }
        let chosen: Vec<&Partition> = chosen.iter().map(Deref::deref).collect();
        match chosen[..] {
            [] => false,
            [one] => self.fold_beside(one),
            _ => self.fold_abreast(&chosen),
        }
    }

    /// Takes as many of those that wait as are due, and so many at most.
    fn chosen_before(&self, most: usize, is_free: &dyn Fn(&Partition) -> bool) -> Vec<Found<'_>> {
        let Some(many) = self.many.get() else { return Vec::new() };
        let mut chosen = Vec::new();
        let mut rest = self.load();
        let mut waiting = many.waiting.lock();
        while chosen.len() < most
            && policy::pressure(rest, &self.options) >= Pressure::Due
            && let Some(partition) = waiting.pop_front()
        {
            // One that was replaced meanwhile tells of nothing.
            let load = partition.gauge().load();
            if is_worth_a_try(&partition) && policy::is_filled(load) && is_free(&partition) {
                rest = rest.without(load);
                chosen.push(Found::Shared(partition));
            }
        }
        chosen
    }

    /// Looks at all partitions for those to be folded, the best ones first: how many are due, up to
    /// `most`, and behind these, some that will be when they have been folded.
    ///
    /// Deltas that are not worth a try are not counted: else one that cannot be folded would make
    /// every write fold others, however small they are. Neither are those that are not free.
    pub(super) fn choose(
        &self,
        most: usize,
        is_free: &dyn Fn(&Partition) -> bool,
    ) -> (Vec<Found<'_>>, usize) {
        let partitions = self.partitions();
        let clock = self.shared().map_or(0, Shared::clock);
        let mut rest = self.load();
        let dirt = partitions.iter().map(|partition| {
            let gauge = partition.gauge();
            let age = clock.saturating_sub(gauge.born.load(Ordering::Relaxed));
            if is_worth_a_try(partition) && is_free(partition) {
                return Dirt { load: gauge.load(), age };
            }
            rest = rest.without(gauge.load());
            Dirt { load: Load::default(), age }
        });
        let mut best = policy::choose(dirt, most, partitions.len() / CHOSEN_OF);
        let due = best.iter().take(most).take_while(|(_, load)| {
            let is_due = policy::pressure(rest, &self.options) >= Pressure::Due;
            rest = rest.without(*load);
            is_due
        });
        let due = due.count();
        if due == 0 {
            best.clear();
        }
        let mut partitions: Vec<Option<Found<'_>>> = partitions.into_iter().map(Some).collect();
        (best.into_iter().filter_map(|(number, _)| partitions[number].take()).collect(), due)
    }
}
