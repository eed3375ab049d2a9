//! Two runs beside each other: what changed by more than the noise.

use crate::record::{Better, MEASURES, Measure, read};
use crate::report::Results;
use crate::statistics::{median, noise};
use std::path::Path;

/// A measure of a map in both runs.
#[derive(Debug, PartialEq)]
struct Change {
    what: String,
    old: f64,
    new: f64,
    /// New over old, of ratios to the reference where both runs have it.
    ratio: f64,
    /// How far from 1 the ratio may be by chance.
    band: f64,
    better: Better,
}

/// Below this no change is called one, however quiet the runs were: code moves in memory, and
/// maps' hash seeds and the system's addresses differ between runs.
const LEAST_BAND: f64 = 0.03;

/// Fewer repeats than this say nothing about their noise; then it is taken to be large.
const ENOUGH_REPEATS: usize = 3;
const BAND_OF_FEW: f64 = 0.15;

impl Change {
    fn verdict(&self) -> &'static str {
        let within = (self.ratio - 1.0).abs() <= self.band;
        match self.better {
            Better::Neither => "",
            _ if within => "same",
            Better::Lower if self.ratio < 1.0 => "better",
            Better::Higher if self.ratio > 1.0 => "better",
            _ => "worse",
        }
    }
}

fn changes(old: &Results, new: &Results) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, old_cell) in &old.cells {
        let Some(new_cell) = new.cells.get(name) else { continue };
        for peer in old_cell.peers() {
            let compare = |kind: &Measure| {
                let old = old_cell.value(peer, kind.name)?;
                let new = new_cell.value(peer, kind.name)?;
                let is_reference = peer == crate::peers::REFERENCE;
                let olds = old_cell.ratios(peer, kind.name);
                let news = new_cell.ratios(peer, kind.name);
                let (ratio, band) = match (median(&olds), median(&news)) {
                    (Some(old), Some(new)) if !is_reference && old > 0.0 => {
                        (new / old, noise(&olds).hypot(noise(&news)))
                    }
                    _ if old > 0.0 => (new / old, 0.0),
                    _ => return None,
                };
                let what = format!("{peer} {} {} {}", name.0, name.1, kind.name);
                let is_few = olds.len().min(news.len()) < ENOUGH_REPEATS;
                let band = band.max(if is_few { BAND_OF_FEW } else { LEAST_BAND });
                Some(Change { what, old, new, ratio, band, better: kind.better })
            };
            let kinds = MEASURES.iter().filter(|kind| kind.better != Better::Neither);
            changes.extend(kinds.filter_map(compare));
        }
    }
    changes
}

pub(crate) fn execute(old: &Path, new: &Path) -> Result<(), String> {
    let load = |path: &Path| {
        let mut results = Results::default();
        results.add(read(path)?);
        Ok::<_, String>(results)
    };
    let changes = changes(&load(old)?, &load(new)?);
    if changes.is_empty() {
        return Err("the two runs have nothing in common".to_owned());
    }
    println!("new / old, of ratios to BTreeMap in the same repeat; BTreeMap itself by its times");
    println!("{:<52} {:>10} {:>10} {:>7} {:>7}", "", "old", "new", "ratio", "noise");
    let mut counts = [0_usize; 3];
    for change in &changes {
        let verdict = change.verdict();
        let index = ["same", "better", "worse"].iter().position(|known| *known == verdict);
        counts[index.unwrap_or(0)] += 1;
        if verdict != "same" || change.what.starts_with("memkv") {
            println!(
                "{:<52} {:>10.2} {:>10.2} {:>7.3} {:>6.1}% {verdict}",
                change.what,
                change.old,
                change.new,
                change.ratio,
                change.band * 100.0
            );
        }
    }
    let ratios: Vec<f64> = changes.iter().map(|change| change.ratio).collect();
    let off: Vec<f64> = ratios.iter().map(|ratio| (ratio - 1.0).abs()).collect();
    let bands: Vec<f64> = changes.iter().map(|change| change.band).collect();
    println!(
        "\n{} same, {} better, {} worse; median ratio {:.3}; half of all ratios within {:.1} % \
         of 1; median noise band {:.1} %",
        counts[0],
        counts[1],
        counts[2],
        median(&ratios).unwrap_or(1.0),
        median(&off).unwrap_or(0.0) * 100.0,
        median(&bands).unwrap_or(0.0) * 100.0
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::changes;
    use crate::record::{Line, Measured};
    use crate::report::Results;

    fn run(reference: f64, ours: [f64; 3]) -> Results {
        let mut results = Results::default();
        let mut lines = Vec::new();
        for (repeat, ours) in ours.into_iter().enumerate() {
            for (peer, value) in [("btreemap", reference), ("memkv-folded", ours)] {
                lines.push(Line::Measured(Measured {
                    peer: peer.into(),
                    set: "words".into(),
                    size: 10,
                    repeat: repeat as u32,
                    measure: "get_hit".into(),
                    value,
                    checksum: None,
                    wrong: None,
                }));
            }
        }
        results.add(lines);
        results
    }

    fn verdict(old: &Results, new: &Results) -> &'static str {
        let changes = changes(old, new);
        changes.iter().find(|change| change.what.starts_with("memkv")).unwrap().verdict()
    }

    #[test]
    fn a_slower_machine_is_no_change_of_a_map() {
        let old = run(100.0, [50.0, 51.0, 49.0]);
        assert_eq!(verdict(&old, &run(200.0, [100.0, 102.0, 98.0])), "same");
    }

    #[test]
    fn one_repeat_shows_only_large_changes() {
        let one = |value: f64| {
            let mut results = Results::default();
            let lines = [("btreemap", 100.0), ("memkv-folded", value)].map(|(peer, value)| {
                Line::Measured(Measured {
                    peer: peer.into(),
                    set: "words".into(),
                    size: 10,
                    repeat: 0,
                    measure: "get_hit".into(),
                    value,
                    checksum: None,
                    wrong: None,
                })
            });
            results.add(lines.to_vec());
            results
        };
        assert_eq!(verdict(&one(50.0), &one(55.0)), "same");
        assert_eq!(verdict(&one(50.0), &one(65.0)), "worse");
    }

    #[test]
    fn changes_beyond_the_noise_are_told() {
        let old = run(100.0, [50.0, 50.5, 49.5]);
        assert_eq!(verdict(&old, &run(100.0, [60.0, 60.5, 59.5])), "worse");
        assert_eq!(verdict(&old, &run(100.0, [40.0, 40.5, 39.5])), "better");
        assert_eq!(verdict(&old, &run(100.0, [30.0, 52.0, 80.0])), "same");
    }
}
