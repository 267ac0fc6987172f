//! Listings of sockets to text, one file per format.

mod csv;
mod table;

use std::io;

use super::{json::Json, screen::Screen};
use crate::{settings::Format, snapshot::Row};

/// One output format of a listing.
#[derive(Debug)]
pub enum RowSink {
    /// Aligned lines for people.
    Table(Box<table::RowTable>),
    /// JSON, compact or indented.
    Json(Json),
    /// CSV.
    Csv(csv::RowCsv),
}

impl RowSink {
    /// A sink for one listing; only the table looks at the screen.
    pub fn new(format: Format, screen: Screen) -> Self {
        match format {
            Format::Table => Self::Table(Box::new(table::RowTable::new(screen))),
            Format::Json => Self::Json(Json::compact()),
            Format::JsonPretty => Self::Json(Json::pretty()),
            Format::Csv => Self::Csv(csv::RowCsv::default()),
        }
    }

    /// Writes one socket. A table keeps the first ones until it knows how wide its columns must be.
    ///
    /// # Errors
    ///
    /// Never in practice, because a buffer in memory takes everything.
    pub fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Table(table) => table.row(row, out),
            Self::Json(json) => json.row(row, out),
            Self::Csv(csv) => csv.row(row, out),
        }
    }

    /// Writes the sockets that were kept, and the header of an empty listing.
    ///
    /// # Errors
    ///
    /// As [`RowSink::row`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Table(table) => table.finish(out),
            Self::Json(_) => Ok(()),
            Self::Csv(csv) => csv.header(out),
        }
    }
}
