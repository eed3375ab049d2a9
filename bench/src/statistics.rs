//! Medians, their noise, and Pareto fronts.

/// The middle value; the mean of the two middle ones of an even number. `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// How far off a median of so many values may be, as a share of it: the median distance of the
/// values from it, scaled to a standard deviation, by the root of their number, twice.
pub(crate) fn noise(values: &[f64]) -> f64 {
    const TO_DEVIATION: f64 = 1.4826;
    // The median of a normal sample is this much less certain than its mean.
    const OF_MEDIAN: f64 = 1.2533;
    let Some(centre) = median(values).filter(|centre| *centre != 0.0) else { return 0.0 };
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    let deviation = median(&distances).unwrap_or(0.0) * TO_DEVIATION;
    2.0 * OF_MEDIAN * deviation / (values.len() as f64).sqrt() / centre.abs()
}

/// Which points no other point beats in both coordinates, lower being better; by ascending x.
pub(crate) fn pareto(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        points[a].0.total_cmp(&points[b].0).then(points[a].1.total_cmp(&points[b].1))
    });
    let mut lowest = f64::INFINITY;
    order.retain(|&index| {
        let is_front = points[index].1 < lowest;
        lowest = lowest.min(points[index].1);
        is_front
    });
    order
}

#[cfg(test)]
mod tests {
    use super::{median, noise, pareto};

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn noise_grows_with_the_spread_and_shrinks_with_the_number() {
        assert!(noise(&[10.0, 10.0, 10.0]) == 0.0);
        let few = noise(&[9.0, 10.0, 11.0]);
        assert!(few > 0.05 && few < 0.5, "{few}");
        assert!(noise(&[9.0, 10.0, 11.0].repeat(9)) < few);
        assert!(noise(&[7.0, 10.0, 13.0]) > few);
    }

    #[test]
    fn the_front_has_what_nothing_beats() {
        let points = [(1.0, 9.0), (2.0, 9.5), (3.0, 4.0), (5.0, 5.0), (6.0, 1.0), (6.0, 0.5)];
        assert_eq!(pareto(&points), [0, 2, 5]);
    }
}
