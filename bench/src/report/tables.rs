//! BENCHMARKS.md.

use super::charts::Chart;
use super::results::{Cell, CellName, Results};
use crate::peers::{ABSENT, ENTRANTS, REFERENCE, find};
use crate::record::{Better, MEASURES, Measure, measure};
use std::fmt::Write;
use std::path::Path;

/// Columns of the tables with a row for each map.
const COLUMNS: [&str; 9] = [
    "bytes",
    "peak_build",
    "get_hit",
    "get_chain",
    "miss_near",
    "scan_100",
    "scan_full",
    "insert_random",
    "bulk_build",
];
/// Columns about threads.
const THREAD_COLUMNS: [&str; 6] =
    ["read_1", "read_all", "mixed_all", "beside_reads", "beside_writes", "write_all"];

/// MemKV's layouts that a table with a row for each measure shows.
const OURS: [&str; 4] = ["memkv", "memkv-folded", "memkv-2%", "memkv-delta"];

/// Three significant digits, with separators.
pub(super) fn figure(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 3) as usize;
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(w, r)| (w, Some(r)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && digit != '-' {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match rest {
        Some(rest) => format!("{grouped}.{rest}"),
        None => grouped,
    }
}

fn is_better(kind: &Measure, a: f64, b: f64) -> bool {
    match kind.better {
        Better::Lower => a < b,
        Better::Higher => a > b,
        Better::Neither => false,
    }
}

fn best(kind: &Measure, values: impl Iterator<Item = f64>) -> Option<f64> {
    if kind.better == Better::Neither {
        return None;
    }
    values.reduce(|a, b| if is_better(kind, b, a) { b } else { a })
}

fn bold(text: String, is_best: bool) -> String {
    if is_best { format!("**{text}**") } else { text }
}

fn unit(kind: &Measure) -> String {
    if kind.unit.is_empty() { String::new() } else { format!(", {}", kind.unit) }
}

/// A value with its ratio to the reference.
fn with_ratio(cell: &Cell, peer: &str, kind: &Measure, best: Option<f64>) -> String {
    let Some(value) = cell.value(peer, kind.name) else {
        let is_wrong = cell.wrong.get(peer).is_some_and(|wrong| wrong.contains_key(kind.name));
        return if is_wrong { "wrong".to_owned() } else { String::new() };
    };
    let text = bold(figure(value), best == Some(value));
    match cell.ratio(peer, kind.name).filter(|_| peer != REFERENCE) {
        Some(ratio) => format!("{text} ({ratio:.2})"),
        None => text,
    }
}

fn head(out: &mut String, first: &str, columns: &[String]) {
    _ = writeln!(out, "| {first} | {} |", columns.join(" | "));
    _ = writeln!(out, "| --- |{}", " ---: |".repeat(columns.len()));
}

/// A row for each map, the best of each column in bold.
fn by_map(out: &mut String, cell: &Cell, columns: &[&str]) {
    let kinds: Vec<&Measure> = columns.iter().filter_map(|name| measure(name)).collect();
    let kinds: Vec<&Measure> =
        kinds.into_iter().filter(|kind| !cell.values_of(kind.name).is_empty()).collect();
    let bests: Vec<Option<f64>> = kinds
        .iter()
        .map(|kind| best(kind, cell.values_of(kind.name).into_iter().map(|pair| pair.1)))
        .collect();
    let titles: Vec<String> =
        kinds.iter().map(|kind| format!("{}{}", kind.title, unit(kind))).collect();
    head(out, "map", &titles);
    for peer in cell.peers() {
        let cells: Vec<String> = kinds
            .iter()
            .zip(&bests)
            .map(|(kind, best)| with_ratio(cell, peer, kind, *best))
            .collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            _ = writeln!(out, "| {peer} | {} |", cells.join(" | "));
        }
    }
    out.push('\n');
}

/// The best of the others, of those that keep an order.
fn best_other(cell: &Cell, kind: &Measure) -> Option<(&'static str, f64)> {
    let others = cell.values_of(kind.name).into_iter().filter(|(peer, _)| {
        find(peer).is_some_and(|entrant| !entrant.is_ours() && entrant.abilities.walk)
    });
    others.reduce(|a, b| if is_better(kind, b.1, a.1) { b } else { a })
}

/// A row for each measure: the reference, MemKV's layouts, and the best ordered map beside them;
/// the best of each row in bold.
fn by_measure(out: &mut String, cell: &Cell) {
    let measured = cell.peers();
    let ours: Vec<&str> = OURS.into_iter().filter(|name| measured.contains(name)).collect();
    let mut columns = vec![REFERENCE];
    columns.extend(ours);
    let mut titles: Vec<String> = columns.iter().map(ToString::to_string).collect();
    titles.push("best other ordered map".to_owned());
    head(out, "measure", &titles);
    for kind in MEASURES {
        let values: Vec<f64> =
            columns.iter().filter_map(|peer| cell.value(peer, kind.name)).collect();
        if values.is_empty() {
            continue;
        }
        let other = best_other(cell, kind).filter(|_| kind.better != Better::Neither);
        let all = values.into_iter().chain(other.map(|pair| pair.1));
        let best = best(kind, all);
        let mut cells: Vec<String> =
            columns.iter().map(|peer| with_ratio(cell, peer, kind, best)).collect();
        cells.push(other.map_or(String::new(), |(peer, _)| {
            format!("{peer}: {}", with_ratio(cell, peer, kind, best))
        }));
        _ = writeln!(out, "| {}{} | {} |", kind.title, unit(kind), cells.join(" | "));
    }
    out.push('\n');
}

/// What MemKV loses here, as plainly as what it wins.
fn losses(out: &mut String, cell: &Cell) {
    let mut lost = Vec::new();
    for kind in MEASURES.iter().filter(|kind| kind.better != Better::Neither) {
        for ours in ["memkv-folded", "memkv"] {
            let Some(ratio) = cell.ratio(ours, kind.name) else { continue };
            if is_better(kind, 1.0, ratio) {
                lost.push(format!("{} ({ours}: {ratio:.2})", kind.title));
                break;
            }
        }
    }
    if lost.is_empty() {
        out.push_str("MemKV is ahead of `BTreeMap` in every measure here.\n\n");
    } else {
        _ = writeln!(out, "Behind `BTreeMap` (ratio): {}.\n", lost.join("; "));
    }
}

fn charts_of(out: &mut String, charts: &[Chart], folder: &Path, cell: Option<&CellName>) {
    for chart in charts.iter().filter(|chart| chart.cell.as_ref() == cell) {
        _ = writeln!(out, "![{}]({}/{})\n", chart.title, folder.display(), chart.file);
    }
}

fn preamble(out: &mut String, results: &Results) {
    out.push_str("# Benchmarks\n\n");
    out.push_str(
        "Made by `memkv-bench report` from measurements; not edited by hand. `BTreeMap` means\n\
         `BTreeMap<Vec<u8>, u64>` or `BTreeMap<u64, u64>` built by random inserts, and every\n\
         number in brackets is a ratio to it, taken within one repeat. Each map and\n\
         key set is measured in a process of its own, and maps take turns. Memory is everything\n\
         the allocator handed out for the map, keys and values included, slack too. A time of\n\
         gets or walks is the shorter of two passes. An empty field: the map cannot do this.\n\n",
    );
    if results.interrupted {
        out.push_str("**The run was interrupted: what follows is a part of it.**\n\n");
    }
    for run in &results.runs {
        _ = writeln!(out, "```sh\n{}\n```\n", run.command);
        let days = run.started / 86_400;
        _ = writeln!(
            out,
            "{}, {} cores; {}; seed {}; {}.\n",
            run.machine,
            run.cores,
            run.compiler,
            run.seed,
            date(days as i64)
        );
    }
}

/// A day since 1970 as a date.
fn date(days: i64) -> String {
    // Years begin in March here, so that a leap day comes last.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

fn maps(out: &mut String, results: &Results) {
    out.push_str("## Maps\n\n| map | version | how it is used |\n| --- | --- | --- |\n");
    let versions = results.runs.last().map(|run| &run.versions);
    for entrant in ENTRANTS {
        let version = versions.and_then(|versions| versions.get(entrant.package));
        let version = version.map_or("std", String::as_str);
        _ = writeln!(out, "| {} | {version} | {} |", entrant.name, entrant.note);
    }
    out.push_str("\n## Absent, failed, wrong\n\n| map | where | why |\n| --- | --- | --- |\n");
    for absent in ABSENT {
        _ = writeln!(out, "| {} | {} | {} |", absent.name, absent.what, absent.reason);
    }
    for failed in &results.failed {
        let reason = failed.reason.replace('|', "\\|").replace('\n', " ");
        let (peer, set, size) = (&failed.peer, &failed.set, failed.size);
        _ = writeln!(out, "| {peer} | {} {set} | {reason} |", figure_of_size(size));
    }
    out.push('\n');
}

fn figure_of_size(size: u64) -> String {
    let text = size.to_string();
    let mut grouped = String::new();
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && (text.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

pub(super) fn document(results: &Results, charts: &[Chart], folder: &Path) -> String {
    let mut out = String::new();
    preamble(&mut out, results);
    charts_of(&mut out, charts, folder, None);
    for (name, cell) in &results.cells {
        let title = crate::keys::find(&name.0).map_or("", |set| set.title);
        _ = writeln!(out, "## {} keys of `{}`: {title}\n", figure_of_size(name.1), name.0);
        charts_of(&mut out, charts, folder, Some(name));
        let turns = cell.turns();
        _ = match turns {
            1 => writeln!(out, "One run of each map, in a process of its own.\n"),
            _ => writeln!(out, "Medians of {turns} repeats, each in a process of its own.\n"),
        };
        losses(&mut out, cell);
        by_measure(&mut out, cell);
        out.push_str("All maps:\n\n");
        by_map(&mut out, cell, &COLUMNS);
        if THREAD_COLUMNS.iter().any(|name| !cell.values_of(name).is_empty()) {
            out.push_str("Threads:\n\n");
            by_map(&mut out, cell, &THREAD_COLUMNS);
        }
    }
    maps(&mut out, results);
    out
}

#[cfg(test)]
mod tests {
    use super::{date, document, figure};
    use crate::record::{Failed, Line, Measured};
    use crate::report::Results;
    use std::path::Path;

    pub(crate) fn measured(peer: &str, measure: &str, repeat: u32, value: f64) -> Measured {
        Measured {
            peer: peer.into(),
            set: "words".into(),
            size: 1_000,
            repeat,
            measure: measure.into(),
            value,
            checksum: None,
            wrong: None,
        }
    }

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.01234, 1.2345, 12.345, 1234.6, 1_234_567.0].map(figure);
        assert_eq!(shown, ["0.012", "1.23", "12.3", "1,235", "1,234,567"]);
    }

    #[test]
    fn dates_are_right_around_a_leap_day() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(19_783), "2024-03-01");
        assert_eq!(date(20_778), "2026-11-21");
    }

    #[test]
    fn a_report_shows_ratios_the_best_the_losses_and_the_wrong() {
        let mut lines = Vec::new();
        for repeat in 0..3 {
            lines.push(measured("btreemap", "get_hit", repeat, 100.0));
            lines.push(measured("memkv-folded", "get_hit", repeat, 50.0));
            lines.push(measured("btreemap", "scan_full", repeat, 4.0));
            lines.push(measured("memkv-folded", "scan_full", repeat, 8.0));
            let wrong = Some("7 of 8 keys found".to_owned());
            lines.push(Measured { wrong, ..measured("fst", "get_hit", repeat, 1.0) });
        }
        let mut lines: Vec<Line> = lines.into_iter().map(Line::Measured).collect();
        let (peer, set) = ("fst".to_owned(), "words".to_owned());
        lines.push(Line::Failed(Failed { peer, set, size: 1_000, reason: "7 of 8".to_owned() }));
        let mut results = Results::default();
        results.add(lines);
        let text = document(&results, &[], Path::new("charts"));
        assert!(text.contains("| memkv-folded | **50.0** (0.50) | 8.00 (2.00) |"), "{text}");
        assert!(text.contains("| fst | wrong |"), "{text}");
        assert!(text.contains("Behind `BTreeMap` (ratio): walk, per entry (memkv-folded: 2.00)"));
        assert!(text.contains("| fst | 1,000 words | 7 of 8 |"), "{text}");
        assert!(text.contains("Medians of 3 repeats"), "{text}");
        assert!(text.contains("interrupted"), "the run has no last line");
    }
}
