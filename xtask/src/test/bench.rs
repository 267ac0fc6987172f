//! Runs the bench at its smallest size. Every row must have a value or a reason; no value is judged.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{report, tally::Tally};
use crate::bench::{self, Options, Size};
use crate::build::{self, Binaries};
use crate::initramfs::{self, BenchKit};
use crate::toolchain::Toolchain;

pub fn run(toolchain: &Toolchain, binaries: &Binaries) -> Tally {
    let started = Instant::now();
    let result = attempt(toolchain, binaries);
    report(result.is_ok(), "bench, smallest size", started);
    let mut tally = Tally::default();
    match result {
        Ok(()) => tally.passed += 1,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            tally.fail(format!("bench: {error:#}"));
        }
    }
    tally
}

fn attempt(toolchain: &Toolchain, binaries: &Binaries) -> Result<()> {
    let options = Options {
        size: Size::Small,
        output: "json".to_owned(),
        rounds: Some(1),
    };
    let kit = BenchKit {
        floor: build::floor(toolchain)?,
        tools: initramfs::ensure_tools()?,
    };
    let mut lines = Vec::new();
    let code = bench::in_guest(&options, binaries, &kit, &mut |line| {
        lines.push(line.to_owned());
    })?;
    ensure!(
        code == 0,
        "the bench ended with {code}: {}",
        lines.join("\n")
    );
    verify(&lines.concat())
}

fn verify(text: &str) -> Result<()> {
    let result: Value = serde_json::from_str(text)
        .with_context(|| format!("the bench printed no JSON object: {text}"))?;
    let rows = result["rows"].as_array().context("it has no rows")?;
    ensure!(!rows.is_empty(), "its table is empty");
    for row in rows {
        let measured = row["katrace"]["median"].is_number() || row["missing"].is_string();
        ensure!(measured, "a row without a value: {row}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::verify;

    #[test]
    fn a_row_has_a_value_or_says_why_not() {
        assert!(
            verify(r#"{"rows":[{"katrace":{"median":1.5}},{"missing":"no command"}]}"#).is_ok()
        );
        for broken in [
            "",
            "{}",
            r#"{"rows":[]}"#,
            r#"{"rows":[{"katrace":null,"missing":null}]}"#,
        ] {
            assert!(verify(broken).is_err(), "{broken}");
        }
    }
}
