//! What a run measured, by key set, map and measure.

use crate::peers::REFERENCE;
use crate::record::{Failed, Line, Run};
use crate::statistics::median;
use std::collections::BTreeMap;

/// A key set and its size.
pub(crate) type CellName = (String, u64);

/// Values by map and measure, each with the repeat it is from.
#[derive(Default)]
pub(crate) struct Cell {
    values: BTreeMap<(String, String), BTreeMap<u32, f64>>,
    /// What was answered wrongly, by map.
    pub(crate) wrong: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Default)]
pub(crate) struct Results {
    pub(crate) runs: Vec<Run>,
    pub(crate) interrupted: bool,
    pub(crate) cells: BTreeMap<CellName, Cell>,
    pub(crate) failed: Vec<Failed>,
}

impl Results {
    /// Takes in a run. Where it measured what an earlier one did, it counts alone.
    pub(crate) fn add(&mut self, lines: Vec<Line>) {
        let mut cells: BTreeMap<CellName, Cell> = BTreeMap::new();
        let mut is_finished = false;
        for line in lines {
            match line {
                Line::Run(run) => self.runs.push(run),
                Line::Failed(failed) => self.failed.push(failed),
                Line::Finished { .. } => is_finished = true,
                Line::Measured(line) => {
                    let cell = cells.entry((line.set, line.size)).or_default();
                    if let Some(wrong) = line.wrong {
                        let of_map = cell.wrong.entry(line.peer.clone()).or_default();
                        of_map.insert(line.measure.clone(), wrong);
                    }
                    let values = cell.values.entry((line.peer, line.measure)).or_default();
                    values.insert(line.repeat, line.value);
                }
            }
        }
        self.interrupted |= !is_finished;
        self.cells.extend(cells);
    }
}

impl Cell {
    fn repeats(&self, peer: &str, measure: &str) -> Option<&BTreeMap<u32, f64>> {
        // A figure beside a wrong answer is none.
        if self.wrong.get(peer).is_some_and(|wrong| wrong.contains_key(measure)) {
            return None;
        }
        self.values.get(&(peer.to_owned(), measure.to_owned()))
    }

    /// The median of the repeats.
    pub(crate) fn value(&self, peer: &str, measure: &str) -> Option<f64> {
        let values: Vec<f64> = self.repeats(peer, measure)?.values().copied().collect();
        median(&values)
    }

    /// Each repeat's value over that of the reference in the same repeat.
    pub(crate) fn ratios(&self, peer: &str, measure: &str) -> Vec<f64> {
        let (Some(values), Some(references)) =
            (self.repeats(peer, measure), self.repeats(REFERENCE, measure))
        else {
            return Vec::new();
        };
        let ratio = |(repeat, value): (&u32, &f64)| Some(value / references.get(repeat)?);
        values.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).collect()
    }

    /// The median of those.
    pub(crate) fn ratio(&self, peer: &str, measure: &str) -> Option<f64> {
        median(&self.ratios(peer, measure))
    }

    /// How often the maps took turns.
    pub(crate) fn turns(&self) -> usize {
        self.values.values().map(BTreeMap::len).max().unwrap_or(0)
    }

    /// The maps that were measured here, in the order of the list of all maps.
    pub(crate) fn peers(&self) -> Vec<&'static str> {
        let names = crate::peers::ENTRANTS.iter().map(|entrant| entrant.name);
        names.filter(|name| self.values.keys().any(|(peer, _)| peer == name)).collect()
    }

    /// All of them with a value of this measure.
    pub(crate) fn values_of(&self, measure: &str) -> Vec<(&'static str, f64)> {
        let value = |peer| Some((peer, self.value(peer, measure)?));
        self.peers().into_iter().filter_map(value).collect()
    }
}
