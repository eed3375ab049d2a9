//! SVG charts: memory against latency, memory by part, latency against size.

use super::results::{Cell, CellName, Results};
use crate::peers::{REFERENCE, find};
use crate::statistics::pareto;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::collections::BTreeMap;

pub(super) struct Chart {
    pub(super) title: String,
    pub(super) file: String,
    pub(super) svg: String,
    /// The key set it is about; `None` if it is about several.
    pub(super) cell: Option<CellName>,
}

const SIZE: (u32, u32) = (960, 600);
const OURS: RGBColor = RGBColor(200, 60, 20);
const REFERENCE_COLOR: RGBColor = RGBColor(20, 20, 20);
const ORDERED: RGBColor = RGBColor(40, 100, 180);
const UNORDERED: RGBColor = RGBColor(140, 140, 140);
const MARGIN: i32 = 14;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(work: impl FnOnce(&Area<'_>) -> Result<(), String>) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        work(&area)?;
        area.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

fn color(peer: &str) -> RGBColor {
    match find(peer) {
        _ if peer == REFERENCE => REFERENCE_COLOR,
        Some(entrant) if entrant.is_ours() => OURS,
        Some(entrant) if !entrant.abilities.walk => UNORDERED,
        _ => ORDERED,
    }
}

/// Room on both sides of logarithmic values.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    (low / 1.25, high * 1.35)
}

fn scatter(name: &CellName, cell: &Cell) -> Result<Option<Chart>, String> {
    let points: Vec<(&str, f64, f64)> = cell
        .values_of("bytes")
        .into_iter()
        .filter_map(|(peer, bytes)| Some((peer, bytes, cell.value(peer, "get_chain")?)))
        .filter(|&(_, bytes, ns)| bytes > 0.0 && ns > 0.0)
        .collect();
    if points.len() < 2 {
        return Ok(None);
    }
    let title = format!("Memory against latency, {} keys of {}", name.1, name.0);
    let x = bounds(points.iter().map(|point| point.1));
    let y = bounds(points.iter().map(|point| point.2));
    let svg = draw(|area| {
        let text = |error: DrawingAreaErrorKind<_>| format!("a chart cannot be drawn: {error}");
        let mut chart = ChartBuilder::on(area)
            .caption(&title, ("sans-serif", 20))
            .margin(MARGIN)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d((x.0..x.1).log_scale(), (y.0..y.1).log_scale())
            .map_err(text)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("bytes per key, all in (logarithmic)")
            .y_desc("ns per dependent get (logarithmic)")
            .draw()
            .map_err(text)?;
        let is_ordered = |peer: &str| find(peer).is_some_and(|entrant| entrant.abilities.walk);
        let ordered = points.iter().filter(|point| is_ordered(point.0));
        let places: Vec<(f64, f64)> = ordered.map(|point| (point.1, point.2)).collect();
        let front = pareto(&places).into_iter().map(|index| places[index]);
        let line = LineSeries::new(front, ORDERED.mix(0.5).stroke_width(2));
        chart
            .draw_series(line)
            .map_err(text)?
            .label("Pareto front of ordered maps")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], ORDERED));
        for (index, (peer, bytes, ns)) in points.iter().enumerate() {
            let color = color(peer);
            // Neighbours' names alternate between above and below.
            let shift = if index % 2 == 0 { -12 } else { 4 };
            let element = EmptyElement::at((*bytes, *ns))
                + Circle::new((0, 0), 4, color.filled())
                + Text::new(
                    (*peer).to_owned(),
                    (7, shift),
                    ("sans-serif", 12).into_font().color(&color),
                );
            chart.draw_series([element]).map_err(text)?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()
            .map_err(text)
    })?;
    let file = format!("scatter-{}-{}.svg", name.0, name.1);
    Ok(Some(Chart { title, file, svg, cell: Some(name.clone()) }))
}

/// The parts of a map's bytes that are known, lowest first, with a colour each.
fn parts(cell: &Cell, peer: &str) -> Vec<(&'static str, f64, RGBColor)> {
    let value = |measure| cell.value(peer, measure).unwrap_or(0.0);
    let total = value("bytes");
    let is_ours = find(peer).is_some_and(|entrant| entrant.is_ours());
    let mut parts = if is_ours {
        vec![
            ("keys of the base", value("part_base_keys"), RGBColor(200, 60, 20)),
            ("values of the base", value("part_base_values"), RGBColor(240, 160, 60)),
            ("overlay", value("part_overlay"), RGBColor(150, 90, 160)),
            ("delta", value("part_delta"), RGBColor(60, 140, 80)),
        ]
    } else {
        let keys = value("part_keys").min(total);
        let values = 8.0_f64.min(total - keys);
        vec![
            ("bytes of the keys", keys, RGBColor(40, 100, 180)),
            ("values", values, RGBColor(120, 170, 220)),
        ]
    };
    let known: f64 = parts.iter().map(|part| part.1).sum();
    parts.push(("structure and slack", (total - known).max(0.0), RGBColor(190, 190, 190)));
    parts
}

/// The widest bar of memory, in bars of the reference.
const WIDEST_OF_REFERENCE: f64 = 3.5;

fn bars(name: &CellName, cell: &Cell) -> Result<Option<Chart>, String> {
    let mut totals = cell.values_of("bytes");
    totals.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Some(widest) = totals.first().map(|pair| pair.1).filter(|widest| *widest > 0.0) else {
        return Ok(None);
    };
    // One map far off must not squeeze the others: bars past the edge are cut, their figures stand.
    let reference = cell.value(REFERENCE, "bytes").unwrap_or(widest);
    let widest = widest.min(reference * WIDEST_OF_REFERENCE);
    let title = format!("Memory by part, {} keys of {}", name.1, name.0);
    let rows = totals.len() as f64;
    let svg = draw(|area| {
        let text = |error: DrawingAreaErrorKind<_>| format!("a chart cannot be drawn: {error}");
        let mut chart = ChartBuilder::on(area)
            .caption(&title, ("sans-serif", 20))
            .margin(MARGIN)
            .x_label_area_size(44)
            .y_label_area_size(120)
            .build_cartesian_2d(0.0..widest * 1.12, 0.0..rows)
            .map_err(text)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE)
            .x_desc("bytes per key, all in")
            .draw()
            .map_err(text)?;
        let mut legend: BTreeMap<&str, RGBColor> = BTreeMap::new();
        for (row, (peer, total)) in totals.iter().enumerate() {
            let row = row as f64;
            let mut start = 0.0;
            for (part, bytes, color) in parts(cell, peer) {
                if bytes > 0.0 {
                    legend.insert(part, color);
                    let end = (start + bytes).min(widest);
                    let corners = [(start.min(widest), row + 0.15), (end, row + 0.85)];
                    chart.draw_series([Rectangle::new(corners, color.filled())]).map_err(text)?;
                    start += bytes;
                }
            }
            let font = ("sans-serif", 12).into_font();
            let label = EmptyElement::at((0.0, row + 0.5))
                + Text::new((*peer).to_owned(), (-112, -6), font.clone().color(&color(peer)));
            chart.draw_series([label]).map_err(text)?;
            let figure = EmptyElement::at((total.min(widest), row + 0.5))
                + Text::new(super::tables::figure(*total), (4, -6), font.color(&BLACK));
            chart.draw_series([figure]).map_err(text)?;
        }
        for (part, color) in legend {
            chart
                .draw_series([Rectangle::new([(0.0, 0.0), (0.0, 0.0)], color.filled())])
                .map_err(text)?
                .label(part)
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled())
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()
            .map_err(text)
    })?;
    let file = format!("memory-{}-{}.svg", name.0, name.1);
    Ok(Some(Chart { title, file, svg, cell: Some(name.clone()) }))
}

/// Maps that a chart of latency against size shows.
const LINES: [(&str, RGBColor); 7] = [
    (REFERENCE, REFERENCE_COLOR),
    ("memkv-folded", OURS),
    ("memkv-2%", RGBColor(230, 140, 40)),
    ("memkv-delta", RGBColor(60, 140, 80)),
    ("blart", RGBColor(40, 100, 180)),
    ("sorted-vec", RGBColor(150, 90, 160)),
    ("hashbrown", UNORDERED),
];

fn by_size(set: &str, results: &Results) -> Result<Option<Chart>, String> {
    let cells: Vec<(u64, &Cell)> = results
        .cells
        .iter()
        .filter(|(name, _)| name.0 == set)
        .map(|(name, cell)| (name.1, cell))
        .collect();
    let mut lines = Vec::new();
    for (peer, color) in LINES {
        let place = |(size, cell): &(u64, &Cell)| Some((*size, cell.value(peer, "get_chain")?));
        let points: Vec<(u64, f64)> = cells.iter().filter_map(place).collect();
        if points.len() > 1 {
            lines.push((peer, color, points));
        }
    }
    let (Some(first), Some(last)) = (cells.first(), cells.last()) else { return Ok(None) };
    if lines.is_empty() {
        return Ok(None);
    }
    let y = bounds(lines.iter().flat_map(|line| line.2.iter().map(|point| point.1)));
    let title = format!("Latency against size, {set}");
    let svg = draw(|area| {
        let text = |error: DrawingAreaErrorKind<_>| format!("a chart cannot be drawn: {error}");
        let mut chart = ChartBuilder::on(area)
            .caption(&title, ("sans-serif", 20))
            .margin(MARGIN)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d((first.0..last.0 + 1).log_scale(), (y.0..y.1).log_scale())
            .map_err(text)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("keys (logarithmic)")
            .y_desc("ns per dependent get (logarithmic)")
            .draw()
            .map_err(text)?;
        for (peer, color, points) in lines {
            let line = LineSeries::new(points, color.stroke_width(2)).point_size(3);
            chart
                .draw_series(line)
                .map_err(text)?
                .label(peer)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()
            .map_err(text)
    })?;
    Ok(Some(Chart { title, file: format!("sizes-{set}.svg"), svg, cell: None }))
}

pub(super) fn all(results: &Results) -> Result<Vec<Chart>, String> {
    let mut charts = Vec::new();
    for (name, cell) in &results.cells {
        charts.extend(scatter(name, cell)?);
        charts.extend(bars(name, cell)?);
    }
    let mut sets: Vec<&String> = results.cells.keys().map(|name| &name.0).collect();
    sets.dedup();
    for set in sets {
        charts.extend(by_size(set, results)?);
    }
    Ok(charts)
}
