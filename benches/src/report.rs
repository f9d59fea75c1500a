//! Figures with their names, for people and for programs.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// Ours divided by the disk's own, median over the pairs of turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// What it is compared with, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn plain(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        let name = name.into();
        self.figures.push(Figure { name, value, unit, ratio: None, baseline: None, p50_us: None, p99_us: None });
    }

    pub(crate) fn compared(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        pairs: &[(f64, f64)],
        latency: &Latency,
    ) {
        let ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        self.figures.push(Figure {
            name: name.into(),
            value: median(pairs.iter().map(|p| p.0).collect()),
            unit,
            ratio: Some(median(ratios)),
            baseline: Some(median(pairs.iter().map(|p| p.1).collect())),
            p50_us: Some(latency.us(50.0)),
            p99_us: Some(latency.us(99.0)),
        });
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        let mut out = format!(
            "{:<width$} {:>12} {:<12} {:>7} {:>12} {:>9} {:>9}\n",
            "what", "value", "unit", "ratio", "disk", "p50 us", "p99 us"
        );
        let optional = |value: Option<f64>, digits: usize| value.map_or(String::new(), |v| format!("{v:.digits$}"));
        for f in &self.figures {
            let digits = if f.value < 100.0 { 2 } else { 0 };
            out.push_str(&format!(
                "{:<width$} {:>12.digits$} {:<12} {:>7} {:>12} {:>9} {:>9}\n",
                f.name,
                f.value,
                f.unit,
                optional(f.ratio, 2),
                optional(f.baseline, 0),
                optional(f.p50_us, 1),
                optional(f.p99_us, 1),
            ));
        }
        out
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n.is_multiple_of(2) => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// Latencies of single operations.
pub(crate) struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Latency {
        Latency(Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds"))
    }
}

impl Latency {
    pub(crate) fn record(&mut self, elapsed: Duration) {
        self.0.saturating_record(elapsed.as_nanos() as u64);
    }

    pub(crate) fn add(&mut self, other: &Latency) {
        self.0.add(&other.0).expect("same bounds");
    }

    pub(crate) fn us(&self, percentile: f64) -> f64 {
        self.0.value_at_percentile(percentile) as f64 / 1000.0
    }
}
