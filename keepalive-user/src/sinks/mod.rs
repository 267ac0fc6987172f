//! Records to text, one file per format. Sinks write into buffers that are reused, never to a
//! descriptor: when to flush, and what a closed pipe means, is the caller's business.

pub mod audit;
mod csv;
mod json;
mod rows;
pub mod sanitize;
mod screen;
mod sentence;
mod table;
mod text;
mod timestamp;

use std::io;

pub use rows::RowSink;
pub use screen::Screen;

use crate::{
    event::{Lost, Ready, SocketEvent},
    settings::Format,
    summary::Summary,
};

/// Text on its way out. The caller writes both and clears them; capacity is kept.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// Data, for stdout.
    pub out: Vec<u8>,
    /// Banner and summary for people, for stderr.
    pub err: Vec<u8>,
}

/// One output format with what it must remember between records.
#[derive(Debug)]
pub enum Sink {
    Table(table::Table),
    Json(json::Json),
    Csv(csv::Csv),
}

impl Sink {
    /// A sink for this format; only the table looks at the screen.
    pub fn new(format: Format, screen: Screen) -> Self {
        match format {
            Format::Table => Self::Table(table::Table::new(screen)),
            Format::Json => Self::Json(json::Json::compact()),
            Format::JsonPretty => Self::Json(json::Json::pretty()),
            Format::Csv => Self::Csv(csv::Csv::default()),
        }
    }

    /// Writes the first record, or the banner in its place.
    ///
    /// # Errors
    ///
    /// None that a buffer in memory can cause; the type is that of the writers underneath. So for
    /// all methods.
    pub fn ready(&mut self, ready: &Ready, to: &mut Buffers) -> io::Result<()> {
        match self {
            Self::Table(table) => {
                text::banner(ready, &mut to.err)?;
                table.header(ready.time, &mut to.out)
            }
            Self::Json(json) => json.ready(ready, &mut to.out),
            Self::Csv(csv) => {
                text::banner(ready, &mut to.err)?;
                csv.header(&mut to.out)
            }
        }
    }

    /// Writes one event.
    ///
    /// # Errors
    ///
    /// As [`Sink::ready`].
    pub fn event(&mut self, event: &SocketEvent, to: &mut Buffers) -> io::Result<()> {
        match self {
            Self::Table(table) => table.event(event, &mut to.out),
            Self::Json(json) => json.event(event, &mut to.out),
            Self::Csv(csv) => csv.event(event, &mut to.out),
        }
    }

    /// Writes how many records did not arrive.
    ///
    /// # Errors
    ///
    /// As [`Sink::ready`].
    pub fn lost(&mut self, lost: &Lost, to: &mut Buffers) -> io::Result<()> {
        match self {
            Self::Table(table) => table.lost(lost, &mut to.out),
            Self::Json(json) => json.lost(lost, &mut to.out),
            Self::Csv(csv) => csv.lost(lost, &mut to.out),
        }
    }

    /// Writes the last record, or the summary for people in its place.
    ///
    /// # Errors
    ///
    /// As [`Sink::ready`].
    pub fn summary(&mut self, summary: &Summary, to: &mut Buffers) -> io::Result<()> {
        match self {
            Self::Table(_) | Self::Csv(_) => text::summary(summary, &mut to.err),
            Self::Json(json) => json.summary(summary, &mut to.out),
        }
    }
}
