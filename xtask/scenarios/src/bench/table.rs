//! The result: one row for each measure, with its goal and whether it was reached.

use std::{fmt::Write, thread::available_parallelism};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use nix::sys::utsname::uname;
use serde::Serialize;

use super::{Size, progress, spread::Spread};

/// Rows of a complete table; a measure that leaves one out has failed.
const ROWS: usize = 23;

#[derive(Serialize)]
pub struct Table {
    kernel: String,
    cpus: usize,
    date: String,
    size: &'static str,
    rounds: usize,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Serialize)]
pub struct Row {
    measure: String,
    unit: &'static str,
    katrace: Option<Spread>,
    floor: Option<Spread>,
    bpftrace: Option<Spread>,
    /// Something else that it is measured against.
    other: Option<Other>,
    reaches: Vec<Reach>,
    /// Why this row has no value for katrace.
    missing: Option<String>,
}

#[derive(Serialize)]
struct Other {
    name: &'static str,
    value: Spread,
}

/// A goal and the value that was reached.
#[derive(Serialize)]
struct Reach {
    of: String,
    /// `None` where what it compares with could not be had.
    actual: Option<f64>,
    at_most: f64,
    met: bool,
}

/// What a row is compared with.
#[derive(Clone, Copy)]
pub enum Against {
    Floor,
    Bpftrace,
    Other,
}

impl Row {
    pub fn new(measure: impl Into<String>, unit: &'static str, katrace: Vec<f64>) -> Self {
        Self {
            measure: measure.into(),
            unit,
            katrace: Spread::of(katrace),
            floor: None,
            bpftrace: None,
            other: None,
            reaches: Vec::new(),
            missing: None,
        }
    }

    /// A row for what cannot be measured here; it never counts as reached.
    pub fn missing(measure: impl Into<String>, unit: &'static str, why: &str) -> Self {
        Self {
            missing: Some(why.to_owned()),
            ..Self::new(measure, unit, Vec::new())
        }
    }

    pub fn floor(mut self, values: Vec<f64>) -> Self {
        self.floor = Spread::of(values);
        self
    }

    pub fn bpftrace(mut self, values: Vec<f64>) -> Self {
        self.bpftrace = Spread::of(values);
        self
    }

    pub fn other(mut self, name: &'static str, values: Vec<f64>) -> Self {
        self.other = Spread::of(values).map(|value| Other { name, value });
        self
    }

    pub fn median(&self) -> Option<f64> {
        self.katrace.map(|katrace| katrace.median)
    }

    /// Sets the goal: at most `at_most` times a baseline, by the medians.
    pub fn at_most_times(self, at_most: f64, against: Against) -> Self {
        let (name, value) = match against {
            Against::Floor => ("the floor", self.floor),
            Against::Bpftrace => ("bpftrace", self.bpftrace),
            Against::Other => match &self.other {
                Some(other) => (other.name, Some(other.value)),
                None => ("its baseline", None),
            },
        };
        let ratio = self
            .median()
            .zip(value)
            .map(|(ours, theirs)| ours / theirs.median);
        let of = format!("× {name}");
        self.at_most(of, ratio, at_most)
    }

    /// Sets the goal: at most `at_most` in the row's own unit.
    pub fn at_most_in_all(self, at_most: f64) -> Self {
        let (of, actual) = (self.unit.to_owned(), self.median());
        self.at_most(of, actual, at_most)
    }

    pub fn at_most(mut self, of: String, actual: Option<f64>, at_most: f64) -> Self {
        self.reaches.push(Reach {
            of,
            actual,
            at_most,
            met: actual.is_some_and(|actual| actual <= at_most),
        });
        self
    }
}

impl Table {
    pub fn new(size: Size, rounds: usize) -> Result<Self> {
        let name = uname()?;
        Ok(Self {
            kernel: name.release().to_string_lossy().into_owned(),
            cpus: available_parallelism()
                .context("count the processors")?
                .get(),
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            size: match size {
                Size::Small => "small",
                Size::Full => "full",
            },
            rounds,
            rows: Vec::new(),
            notes: Vec::new(),
        })
    }

    pub fn add(&mut self, row: Row) {
        progress!("{}", row.text());
        self.rows.push(row);
    }

    pub fn note(&mut self, note: String) {
        progress!("{note}");
        self.notes.push(note);
    }

    /// True when every row is there; one without a value says why.
    pub fn complete(&self) -> Result<bool> {
        ensure!(
            self.rows.len() == ROWS,
            "the table has {} rows, {ROWS} make it complete",
            self.rows.len()
        );
        let silent = |row: &&Row| row.katrace.is_none() && row.missing.is_none();
        if let Some(row) = self.rows.iter().find(silent) {
            progress!("without a value: {}", row.measure);
            return Ok(false);
        }
        Ok(true)
    }

    /// As a table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "`cargo xtask bench --size {} --rounds {}`, {}, Linux {}, {} CPUs. Medians, ranges in parentheses.\n\n\
             | measure | unit | katrace | floor | bpftrace | other | reach |\n\
             |---|---|---|---|---|---|---|\n",
            self.size, self.rounds, self.date, self.kernel, self.cpus
        );
        for row in &self.rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", row.text());
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }
}

impl Row {
    fn text(&self) -> String {
        let spread = |value: Option<Spread>| value.map_or_else(|| "–".to_owned(), shown);
        let katrace = match &self.missing {
            Some(why) => why.clone(),
            None => spread(self.katrace),
        };
        let other = match &self.other {
            Some(other) => format!("{}: {}", other.name, shown(other.value)),
            None => "–".to_owned(),
        };
        let reaches: Vec<String> = self.reaches.iter().map(Reach::text).collect();
        let cells = [
            self.measure.clone(),
            self.unit.to_owned(),
            katrace,
            spread(self.floor),
            spread(self.bpftrace),
            other,
            reaches.join("; "),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

impl Reach {
    fn text(&self) -> String {
        let Self { of, at_most, .. } = self;
        let Some(actual) = self.actual else {
            return format!("≤ {} {of}: not measured", number(*at_most));
        };
        let verdict = if self.met {
            "met".to_owned()
        } else if *at_most > 0.0 {
            format!("missed by {:.0} %", (actual / at_most - 1.0) * 100.0)
        } else {
            "missed".to_owned()
        };
        format!("{} {of}, ≤ {}: {verdict}", number(actual), number(*at_most))
    }
}

fn shown(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    if min == max {
        return number(median);
    }
    format!("{} ({}–{})", number(median), number(min), number(max))
}

/// Three figures, or all before the point.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_says_how_far_it_is() {
        let row = Row::new("cost", "ns", vec![600.0, 500.0, 700.0])
            .floor(vec![500.0])
            .bpftrace(vec![1000.0])
            .at_most_times(0.35, Against::Bpftrace)
            .at_most_times(1.5, Against::Floor);
        assert_eq!(
            row.text(),
            "| cost | ns | 600 (500–700) | 500 | 1000 | – | \
             0.60 × bpftrace, ≤ 0.35: missed by 71 %; 1.20 × the floor, ≤ 1.50: met |"
        );
    }

    #[test]
    fn what_could_not_be_measured_is_not_met() {
        let row =
            Row::missing("snapshot", "ms", "not available").at_most_times(1.0, Against::Other);
        assert!(!row.reaches[0].met);
        assert_eq!(
            row.text(),
            "| snapshot | ms | not available | – | – | – | ≤ 1.00 × its baseline: not measured |"
        );
    }

    #[test]
    fn a_short_table_is_not_complete() {
        let mut table = Table::new(Size::Small, 1).unwrap();
        assert!(table.complete().is_err());
        for _ in 0..ROWS {
            table.add(Row::new("cost", "ns", vec![1.0]));
        }
        assert!(table.complete().unwrap());
        table.rows[0] = Row::new("cost", "ns", Vec::new());
        assert!(!table.complete().unwrap());
    }
}
