//! Listings of sockets to text, a format a file.

mod csv;
mod table;

use std::io;

use super::{json::Json, screen::Screen};
use crate::{settings::Format, snapshot::Row};

/// One output format of a listing.
#[derive(Debug)]
pub enum RowSink {
    Table(Box<table::RowTable>),
    Json(Json),
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

    /// Writes one socket. A table keeps the first ones back to see how wide its columns must be.
    ///
    /// # Errors
    ///
    /// None that a buffer in memory can cause.
    pub fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Table(table) => table.row(row, out),
            Self::Json(json) => json.row(row, out),
            Self::Csv(csv) => csv.row(row, out),
        }
    }

    /// Writes what was kept back, and the header of an empty listing.
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
