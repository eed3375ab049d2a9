//! One line of a run: what was run where, a measurement, or what went wrong.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub(crate) enum Line {
    Run(Run),
    Measured(Measured),
    Failed(Failed),
    /// The run came to its end; without it, it was interrupted.
    Finished {
        seconds: f64,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) command: String,
    /// Seconds since 1970.
    pub(crate) started: u64,
    pub(crate) repeats: u32,
    pub(crate) seed: u64,
    pub(crate) machine: String,
    pub(crate) cores: usize,
    pub(crate) compiler: String,
    pub(crate) versions: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) peer: String,
    pub(crate) set: String,
    pub(crate) size: u64,
    pub(crate) repeat: u32,
    pub(crate) measure: String,
    pub(crate) value: f64,
    /// What the map answered; equal for all maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<String>,
    /// What it should have answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wrong: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) peer: String,
    pub(crate) set: String,
    pub(crate) size: u64,
    pub(crate) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
    Neither,
}

/// A kind of measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

macro_rules! measures {
    ($($name:literal $title:literal $unit:literal $better:ident;)*) => {
        /// All kinds of measurements, in the order of the tables.
        pub(crate) const MEASURES: &[Measure] = &[$(
            Measure { name: $name, title: $title, unit: $unit, better: Better::$better },
        )*];
    };
}
measures! {
    "bytes" "memory, all in" "B/key" Lower;
    "resident" "memory, as the kernel counts it" "B/key" Neither;
    "peak_build" "highest while loading" "B/key" Lower;
    "peak_fold" "highest while folding" "B/key" Lower;
    "part_keys" "of it: bytes of the keys themselves" "B/key" Neither;
    "part_delta" "of it: delta" "B/key" Neither;
    "part_overlay" "of it: overlay" "B/key" Neither;
    "part_base_keys" "of it: keys of the base" "B/key" Neither;
    "part_base_values" "of it: values of the base" "B/key" Neither;
    "part_rest" "of it: filter, tables, large values" "B/key" Neither;
    "delta_share" "entries in the delta" "%" Neither;
    "get_hit" "get, independent, uniform" "ns" Lower;
    "get_chain" "get, each needs the one before" "ns" Lower;
    "get_zipf" "get, independent, Zipf 0.99" "ns" Lower;
    "miss_near" "get of an absent neighbour" "ns" Lower;
    "miss_far" "get of an absent stranger" "ns" Lower;
    "get_batch_16" "get in batches of 16, where a map has them" "ns" Lower;
    "get_batch" "get in batches of 64, where a map has them" "ns" Lower;
    "scan_10" "lower bound + 10 entries" "ns" Lower;
    "scan_100" "lower bound + 100 entries" "ns" Lower;
    "scan_full" "walk, per entry" "ns" Lower;
    "scan_back" "walk backwards, per entry" "ns" Lower;
    "insert_random" "insert in random order" "ns" Lower;
    "settle" "then coming to rest, per entry" "ns" Neither;
    "insert_sorted" "insert in ascending order" "ns" Lower;
    "bulk_build" "build from sorted entries" "ns" Lower;
    "overwrite" "overwrite" "ns" Lower;
    "remove" "remove" "ns" Lower;
    "ycsb_a" "YCSB A: 50 % reads, 50 % updates" "ns" Lower;
    "ycsb_b" "YCSB B: 95 % reads, 5 % updates" "ns" Lower;
    "ycsb_c" "YCSB C: reads" "ns" Lower;
    "ycsb_d" "YCSB D: 95 % reads of new entries, 5 % inserts" "ns" Lower;
    "ycsb_e" "YCSB E: 95 % short walks, 5 % inserts" "ns" Lower;
    "ycsb_f" "YCSB F: 50 % reads, 50 % read-change-write" "ns" Lower;
    "save" "save to a file" "ms" Lower;
    "open" "open the file, first get" "ms" Lower;
    "file" "size of the file" "B/key" Lower;
    "amplification" "entries encoded per write; folds copy nothing" "" Lower;
    "steady_amplification" "the same while each entry is overwritten" "" Lower;
    "steady_delta_low" "entries in the delta meanwhile, lowest" "%" Neither;
    "steady_delta" "entries in the delta meanwhile, median" "%" Neither;
    "steady_delta_high" "entries in the delta meanwhile, highest" "%" Neither;
    "idle_max" "longest pause of a loop without a map" "ns" Neither;
    "read_1" "one reader" "M/s" Higher;
    "read_all" "readers on all cores" "M/s" Higher;
    "mixed_1" "one thread, 95 % reads, 5 % writes" "M/s" Higher;
    "mixed_all" "all cores, 95 % reads, 5 % writes" "M/s" Higher;
    "beside_reads" "readers beside a writer" "M/s" Higher;
    "beside_writes" "the writer beside readers" "M/s" Higher;
    "write_all" "writers on all cores" "M/s" Higher;
    "read_all_p50" "readers on all cores, median" "ns" Lower;
    "read_all_p99" "readers on all cores, 99 %" "ns" Lower;
    "read_all_p99.9" "readers on all cores, 99.9 %" "ns" Lower;
    "read_all_max" "readers on all cores, longest" "ns" Lower;
    "beside_reads_p50" "readers beside a writer, median" "ns" Lower;
    "beside_reads_p99" "readers beside a writer, 99 %" "ns" Lower;
    "beside_reads_p99.9" "readers beside a writer, 99.9 %" "ns" Lower;
    "beside_reads_max" "readers beside a writer, longest" "ns" Lower;
    "beside_writes_p50" "the writer, median" "ns" Lower;
    "beside_writes_p99" "the writer, 99 %" "ns" Lower;
    "beside_writes_p99.9" "the writer, 99.9 %" "ns" Lower;
    "beside_writes_max" "the writer, longest" "ns" Lower;
    "write_all_p50" "writers on all cores, median" "ns" Lower;
    "write_all_p99" "writers on all cores, 99 %" "ns" Lower;
    "write_all_p99.9" "writers on all cores, 99.9 %" "ns" Lower;
    "write_all_max" "writers on all cores, longest" "ns" Lower;
    "get_instructions" "instructions in a get" "" Lower;
    "get_cache_misses" "cache misses in a get" "" Lower;
    "get_tlb_misses" "TLB misses in a get" "" Lower;
}

pub(crate) fn measure(name: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|measure| measure.name == name)
}

/// All lines of a run. A last line that an interruption cut off is left out.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the run {}: {error}", path.display()))?;
    let count = text.lines().count();
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if index + 1 == count && !text.ends_with('\n') => {}
            Err(error) => {
                return Err(format!("{} line {}: {error}", path.display(), index + 1));
            }
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::{Line, MEASURES, Measured, read};
    use std::collections::HashSet;

    #[test]
    fn measures_have_names_of_their_own() {
        let names: HashSet<_> = MEASURES.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), MEASURES.len());
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let measured = Line::Measured(Measured {
            peer: "btreemap".into(),
            set: "words".into(),
            size: 3,
            repeat: 0,
            measure: "get_hit".into(),
            value: 1.5,
            checksum: None,
            wrong: None,
        });
        let line = serde_json::to_string(&measured).unwrap();
        std::fs::write(&path, format!("{line}\n{}", &line[..20])).unwrap();
        assert_eq!(read(&path).unwrap(), [measured]);
        std::fs::write(&path, format!("{}\n{line}\n", &line[..20])).unwrap();
        assert!(read(&path).unwrap_err().contains("line 1"));
    }
}
