//! Integer keys. Each function gives at least as many as it is asked for, repetitions included,
//! unless its source has no more.

use super::Files;
use crate::random::{Random, Zipf};

/// More keys are drawn than wanted where some may repeat.
fn with_spare(count: usize) -> usize {
    count + count / 50 + 64
}

pub(super) fn dense(count: usize, _: &mut Random, _: &Files) -> Result<Vec<u64>, String> {
    Ok((0..count as u64).map(|index| 1_000_000_000 + index).collect())
}

pub(super) fn uniform(count: usize, random: &mut Random, _: &Files) -> Result<Vec<u64>, String> {
    Ok((0..count).map(|_| random.word()).collect())
}

/// The law of the data set `lognormal` in papers about learned indexes: deviation 2, scaled up.
pub(super) fn lognormal(count: usize, random: &mut Random, _: &Files) -> Result<Vec<u64>, String> {
    const SCALE: f64 = 1e12;
    Ok((0..with_spare(count)).map(|_| ((2.0 * random.normal()).exp() * SCALE) as u64).collect())
}

/// Bits of each coordinate of a map cell.
const CELL_BITS: u32 = 24;

/// Places around towns, a town's size by Zipf's law, as cells of a Hilbert curve.
pub(super) fn cells(count: usize, random: &mut Random, _: &Files) -> Result<Vec<u64>, String> {
    const TOWNS: usize = 2_000;
    const TOWN_RADIUS: f64 = 8_000.0;
    let side = f64::from(1_u32 << CELL_BITS);
    let towns: Vec<(f64, f64)> =
        (0..TOWNS).map(|_| (random.unit() * side, random.unit() * side)).collect();
    let zipf = Zipf::new(TOWNS, 0.8);
    let coordinate = |centre: f64, random: &mut Random| {
        (centre + random.normal() * TOWN_RADIUS).clamp(0.0, side - 1.0) as u32
    };
    let cells = (0..with_spare(count)).map(|_| {
        let (x, y) = towns[zipf.rank(random)];
        hilbert(coordinate(x, random), coordinate(y, random))
    });
    Ok(cells.collect())
}

/// The place of a cell on a Hilbert curve through 2^24 by 2^24 cells.
fn hilbert(mut x: u32, mut y: u32) -> u64 {
    let mut place = 0;
    for level in (0..CELL_BITS).rev() {
        let half = 1 << level;
        let (right, upper) = (u32::from(x & half != 0), u32::from(y & half != 0));
        place += u64::from(half) * u64::from(half) * u64::from((3 * right) ^ upper);
        if upper == 0 {
            if right == 1 {
                x = ((1 << CELL_BITS) - 1) - x;
                y = ((1 << CELL_BITS) - 1) - y;
            }
            (x, y) = (y, x);
        }
    }
    place
}

/// Bursts of events microseconds apart, and silence between bursts.
pub(super) fn timestamps(count: usize, random: &mut Random, _: &Files) -> Result<Vec<u64>, String> {
    const START: u64 = 1_700_000_000_000_000;
    let mut now = START;
    let mut burst_left = 0;
    let times = (0..count).map(|_| {
        if burst_left == 0 {
            burst_left = 1 + random.below(200);
            now += 1_000 + random.below(5_000_000) as u64;
        }
        burst_left -= 1;
        now += 1 + random.below(40) as u64;
        now
    });
    Ok(times.collect())
}

pub(super) fn gaps(count: usize, random: &mut Random, _: &Files) -> Result<Vec<u64>, String> {
    let zipf = Zipf::new(1 << 20, 0.99);
    let mut key = 0;
    let keys = (0..count).map(|_| {
        key += 1 + zipf.rank(random) as u64;
        key
    });
    Ok(keys.collect())
}

/// The format of the benchmark "Search On Sorted Data": a count, then the keys, all 64 bits wide
/// and little-endian.
pub(super) fn sosd(count: usize, random: &mut Random, files: &Files) -> Result<Vec<u64>, String> {
    let path = files.sosd.as_ref().ok_or("the set `sosd` needs a file: --sosd FILE")?;
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let words = bytes.as_chunks::<8>().0;
    let mut keys = words.iter().map(|word| u64::from_le_bytes(*word));
    let stated = keys.next().unwrap_or(0);
    let mut keys: Vec<u64> = keys.collect();
    if stated != keys.len() as u64 || bytes.len() % 8 != 0 {
        return Err(format!(
            "{}: says it has {stated} keys, but {} bytes are not a count and so many 64-bit keys",
            path.display(),
            bytes.len()
        ));
    }
    random.shuffle(&mut keys);
    keys.truncate(with_spare(count));
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::{hilbert, sosd};
    use crate::keys::Files;
    use crate::random::Random;

    #[test]
    fn neighbours_on_the_curve_are_neighbours_on_the_map() {
        let mut places: Vec<(u64, i64, i64)> = Vec::new();
        for x in 0..32_u32 {
            places.extend((0..32).map(|y| (hilbert(x, y), i64::from(x), i64::from(y))));
        }
        places.sort_unstable();
        for pair in places.windows(2) {
            assert_eq!(pair[1].0, pair[0].0 + 1);
            assert_eq!((pair[1].1 - pair[0].1).abs() + (pair[1].2 - pair[0].2).abs(), 1);
        }
    }

    #[test]
    fn a_file_that_lies_about_its_count_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let mut bytes = 3_u64.to_le_bytes().to_vec();
        bytes.extend([5_u64, 9].iter().flat_map(|key| key.to_le_bytes()));
        std::fs::write(&path, &bytes).unwrap();
        let files = Files { sosd: Some(path.clone()), ..Files::default() };
        let error = sosd(10, &mut Random::new(1), &files).unwrap_err();
        assert!(error.contains("says it has 3 keys"), "{error}");
        bytes[0] = 2;
        std::fs::write(&path, &bytes).unwrap();
        let mut keys = sosd(10, &mut Random::new(1), &files).unwrap();
        keys.sort_unstable();
        assert_eq!(keys, [5, 9]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = Files { sosd: Some("no/such/file".into()), ..Files::default() };
        let error = sosd(10, &mut Random::new(1), &files).unwrap_err();
        assert!(error.contains("no/such/file"), "{error}");
    }
}
