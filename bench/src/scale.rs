//! MemKV at sizes that no key list fits beside: entries are streamed into a segment.

use crate::memory::{count, live_bytes, peak_bytes, reset_peak, resident_bytes};
use crate::random::Random;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use memkv::MemKV;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

#[derive(Args)]
pub(crate) struct Options {
    /// Uniform random integers; 0 for none
    #[arg(long, default_value_t = 1_250_000_000)]
    integers: u64,
    /// URLs; 0 for none
    #[arg(long, default_value_t = 100_000_000)]
    urls: u64,
    /// A set of the integers: no values
    #[arg(long)]
    set: bool,
    /// Stop adding entries at this much memory; by default nine tenths of what is free now
    #[arg(long, value_name = "GIB")]
    memory: Option<f64>,
}

/// One entry in so many is remembered and asked for afterwards.
const SAMPLE: u64 = 4_096;
/// Looks at the memory are so many entries apart.
const STRIDE: u64 = 65_536;

const GIB: f64 = (1_u64 << 30) as f64;

fn free_gib() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse::<f64>().ok()
    });
    kib.unwrap_or(0.0) * 1024.0 / GIB
}

fn value_of(index: u64) -> u64 {
    crate::random::mix(index ^ 0x5ca1e)
}

/// Ascending integers with the gaps of uniform random ones.
fn integers(wanted: u64) -> impl Iterator<Item = u64> {
    let mut random = Random::new(1);
    let mean_gap = u64::MAX as f64 / (wanted as f64 * 1.05);
    let mut key = 0_u64;
    std::iter::from_fn(move || {
        let gap = -(1.0 - random.unit()).ln() * mean_gap;
        key = key.checked_add(1 + gap as u64)?;
        Some(key)
    })
}

/// Ascending URLs: hosts in order, and below each its pages in order, few on most hosts.
fn urls(wanted: u64) -> impl Iterator<Item = String> {
    const PARTS: [&str; 20] = [
        "al", "be", "ca", "do", "el", "fi", "ga", "ho", "in", "ja", "ko", "la", "mo", "ni", "or",
        "pa", "qu", "ro", "sa", "te",
    ];
    const SECTIONS: [&str; 6] = ["archive", "blog", "docs/api", "news", "products", "wiki"];
    const PAGES_PER_HOST: f64 = 60.0;
    let mut random = Random::new(2);
    let places = PARTS.len().pow(5) as u64;
    let hosts = ((wanted as f64 / PAGES_PER_HOST) as u64).clamp(1, places);
    let step = places / hosts;
    let (mut host, mut section, mut page, mut left) = (0_u64, 0, 0_u64, 0_u64);
    let mut prefix = String::new();
    std::iter::from_fn(move || {
        while left == 0 {
            section += 1;
            if section >= SECTIONS.len() || prefix.is_empty() {
                if !prefix.is_empty() {
                    host += step;
                }
                if host >= places {
                    return None;
                }
                section = 0;
                "https://".clone_into(&mut prefix);
                let mut place = places;
                for _ in 0..5 {
                    place /= PARTS.len() as u64;
                    prefix += PARTS[(host / place) as usize % PARTS.len()];
                }
                prefix += ".com/";
            }
            page = 0;
            // Exponential, so that a few hosts have most of the pages.
            let pages = -(1.0 - random.unit()).ln().powi(3) / 6.0 * PAGES_PER_HOST * 1.1;
            left = (pages / SECTIONS.len() as f64 * 1.2).ceil() as u64;
        }
        left -= 1;
        page += 1 + random.below(40) as u64;
        let mut url = String::with_capacity(64);
        _ = write!(url, "{prefix}{}/{page:010}/index.html", SECTIONS[section]);
        Some(url)
    })
}

/// Whether a map has this value for a key, or the key, if it is a set.
type Holds<T> = Box<dyn Fn(&T, u64) -> bool>;

/// What so many of a hundred took at most, of sorted times.
fn percentile(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len() as f64 * share / 100.0).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0)
}

/// Loads a stream, asks for a sample, and says what it took.
fn load<T: Clone>(
    name: &str,
    wanted: u64,
    limit_bytes: f64,
    keys: impl Iterator<Item = T>,
    key_bytes: impl Fn(&T) -> usize,
    build: impl FnOnce(&mut dyn Iterator<Item = (T, u64)>) -> Result<Holds<T>, String>,
) -> Result<(), String> {
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} {eta} left  {msg}");
    let bar = ProgressBar::new(wanted).with_style(style.map_err(|error| error.to_string())?);
    bar.set_message(name.to_owned());
    let mut sample: Vec<(T, u64)> = Vec::new();
    let (mut entries, mut raw_bytes) = (0_u64, 0_u64);
    let mut out_of_room = false;
    count(true);
    reset_peak();
    let before = live_bytes();
    let start = Instant::now();
    let mut stream = keys.map_while(|key| {
        if entries == wanted {
            return None;
        }
        if entries.is_multiple_of(STRIDE) {
            bar.set_position(entries);
            out_of_room = resident_bytes() as f64 > limit_bytes;
            if out_of_room {
                return None;
            }
        }
        let value = value_of(entries);
        if entries.is_multiple_of(SAMPLE) {
            sample.push((key.clone(), value));
        }
        entries += 1;
        raw_bytes += key_bytes(&key) as u64;
        Some((key, value))
    });
    let holds = build(&mut stream)?;
    drop(stream);
    let seconds = start.elapsed().as_secs_f64();
    count(false);
    bar.finish_and_clear();
    let (live, peak) = (live_bytes() - before, peak_bytes() - before);
    let mut random = Random::new(3);
    random.shuffle(&mut sample);
    let asked = Instant::now();
    let wrong = sample.iter().filter(|(key, value)| !holds(key, *value)).count();
    let ns = asked.elapsed().as_nanos() as f64 / sample.len().max(1) as f64;
    // One by one, a look at the clock included.
    random.shuffle(&mut sample);
    let mut each: Vec<u64> = sample
        .iter()
        .map(|(key, value)| {
            let asked = Instant::now();
            black_box(holds(key, *value));
            asked.elapsed().as_nanos() as u64
        })
        .collect();
    each.sort_unstable();
    let [half, most, nearly_all] = [50.0, 99.0, 99.9].map(|share| percentile(&each, share));
    let per_key = |bytes: isize| bytes as f64 / entries.max(1) as f64;
    println!(
        "{name}: {entries} entries, {:.2} GB of raw keys, in {seconds:.0} s; {:.2} B/key ({:.2} \
         GiB), at most {:.2} B/key; get {ns:.0} ns over {} sampled keys, one by one p50 {half}, p99 \
         {most}, p99.9 {nearly_all} ns",
        raw_bytes as f64 / 1e9,
        per_key(live),
        live as f64 / GIB,
        per_key(peak),
        sample.len()
    );
    if wrong > 0 {
        return Err(format!("{name}: {wrong} of {} sampled gets are wrong", sample.len()));
    }
    if out_of_room {
        return Err(format!(
            "{name}: memory was full at {entries} of {wanted} entries; the figures above are of \
             those"
        ));
    }
    Ok(())
}

pub(crate) fn execute(options: &Options) -> Result<(), String> {
    let limit_bytes = options.memory.unwrap_or(free_gib() * 0.9) * GIB;
    let mut failures = Vec::new();
    if options.integers > 0 {
        let wanted = options.integers;
        let result = load(
            "integers",
            wanted,
            limit_bytes,
            integers(wanted),
            |_| 8,
            |stream| {
                if options.set {
                    let keys = stream.map(|(key, _)| (key, ()));
                    let map = MemKV::<u64, ()>::from_sorted(keys).map_err(|e| e.to_string())?;
                    return Ok(Box::new(move |key, _| map.contains_key(*key)));
                }
                let map = MemKV::<u64, u64>::from_sorted(stream).map_err(|e| e.to_string())?;
                Ok(Box::new(move |key, value| map.get(*key) == Some(value)))
            },
        );
        failures.extend(result.err());
    }
    if options.urls > 0 {
        let wanted = options.urls;
        let result = load("urls", wanted, limit_bytes, urls(wanted), String::len, |stream| {
            let map = MemKV::<String, u64>::from_sorted(stream).map_err(|e| e.to_string())?;
            Ok(Box::new(move |key, value| map.get(key.as_str()) == Some(value)))
        });
        failures.extend(result.err());
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::{integers, percentile, urls};

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!([50.0, 99.0, 99.9, 100.0].map(|p| percentile(&times, p)), [100, 198, 200, 200]);
        assert_eq!((percentile(&[7], 50.0), percentile(&[], 50.0)), (7, 0));
    }

    #[test]
    fn streams_ascend_and_are_long_enough() {
        let keys: Vec<u64> = integers(50_000).take(50_000).collect();
        assert_eq!(keys.len(), 50_000);
        assert!(keys.is_sorted_by(|a, b| a < b));
        let keys: Vec<String> = urls(50_000).take(50_000).collect();
        assert_eq!(keys.len(), 50_000);
        assert!(keys.is_sorted_by(|a, b| a < b));
    }
}
