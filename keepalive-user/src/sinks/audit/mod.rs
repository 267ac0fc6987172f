//! What the audit prints: findings, plans, path profiles and rules.

mod languages;
mod lists;
mod plan;
mod verdict;
mod wrap;

use std::io;

use super::{Buffers, Screen, json::Json};
use crate::{
    audit::{Plan, Profiles, Verdict, Wanted},
    settings::Format,
};

/// Writes findings to `out`, and to `err` their count and what could not be read.
///
/// # Errors
///
/// Never in practice, because a buffer in memory takes everything. The same is true of the other
/// functions here.
pub fn findings(
    format: Format,
    screen: &Screen,
    verdict: &Verdict,
    to: &mut Buffers,
) -> io::Result<()> {
    match format {
        Format::Table => verdict::table(screen, verdict, &mut to.out)?,
        Format::Json => verdict::json(&Json::compact(), verdict, &mut to.out)?,
        Format::JsonPretty => verdict::json(&Json::pretty(), verdict, &mut to.out)?,
        Format::Csv => verdict::csv(verdict, &mut to.out)?,
    }
    verdict::missing(verdict, &mut to.err)?;
    verdict::summary(verdict, &mut to.err)
}

/// Writes settings that satisfy what is wanted. A plan has no rows, so the command line refuses CSV for
/// it; here CSV is text.
///
/// # Errors
///
/// As [`findings`].
pub fn plan(format: Format, wanted: &Wanted, plan: &Plan, to: &mut Buffers) -> io::Result<()> {
    match format {
        Format::Table | Format::Csv => plan::text(wanted, plan, &mut to.out),
        Format::Json => plan::json(&Json::compact(), wanted, plan, &mut to.out),
        Format::JsonPretty => plan::json(&Json::pretty(), wanted, plan, &mut to.out),
    }
}

/// Writes the path profiles.
///
/// # Errors
///
/// As [`findings`].
pub fn paths(format: Format, profiles: &Profiles, to: &mut Buffers) -> io::Result<()> {
    lists::paths(format, profiles, &mut to.out)
}

/// Writes the rules.
///
/// # Errors
///
/// As [`findings`].
pub fn rules(format: Format, to: &mut Buffers) -> io::Result<()> {
    lists::rules(format, &mut to.out)
}
