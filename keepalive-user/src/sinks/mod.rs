//! Records to text, one file per format.
//!
//! A sink writes into buffers that its caller reuses, and never to a descriptor. The caller decides
//! when to flush, and what to do about a closed pipe.

pub mod audit;
mod banner;
mod csv;
mod json;
mod process;
mod rows;
pub mod sanitize;
mod screen;
mod sentence;
mod summary;
mod table;
mod timestamp;

use std::io;

pub use rows::RowSink;
pub use screen::Screen;

use crate::{
    event::{Lost, Ready, SocketEvent},
    settings::Format,
    summary::Summary,
};

/// Text to be written. The caller writes both buffers and clears them; their capacity is kept.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// Data, for stdout.
    pub out: Vec<u8>,
    /// Banner and summary for people, for stderr.
    pub err: Vec<u8>,
}

/// One output format, and what it must remember from one record to the next.
#[derive(Debug)]
pub enum Sink {
    /// Aligned lines for people.
    Table(table::Table),
    /// JSON, compact or indented.
    Json(json::Json),
    /// CSV.
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

    /// Writes the first record; for people, writes the banner instead.
    ///
    /// # Errors
    ///
    /// Never in practice, because a buffer in memory takes everything. The same is true of the other
    /// methods.
    pub fn ready(&mut self, ready: &Ready, to: &mut Buffers) -> io::Result<()> {
        match self {
            Self::Table(table) => {
                banner::banner(ready, &mut to.err)?;
                table.header(ready.time, &mut to.out)
            }
            Self::Json(json) => json.ready(ready, &mut to.out),
            Self::Csv(csv) => {
                banner::banner(ready, &mut to.err)?;
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

    /// Writes the last record; for people, writes their summary instead.
    ///
    /// # Errors
    ///
    /// As [`Sink::ready`].
    pub fn summary(&mut self, summary: &Summary, to: &mut Buffers) -> io::Result<()> {
        match self {
            Self::Table(_) | Self::Csv(_) => summary::summary(summary, &mut to.err),
            Self::Json(json) => json.summary(summary, &mut to.out),
        }
    }
}
