//! `katrace sockets` from start to end: one listing, or one after another.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    error::Error,
    messages,
    progress::Progress,
    settings::{Format, SocketsSettings},
    sinks::{RowSink, Screen},
    snapshot::{Reader, Row, Visitor, sort},
    source,
    stop::Stop,
};

/// How many bytes are collected before they are written.
const BATCH: usize = 64 * 1024;
/// How long the command waits, after a signal, for a reader of stdout that takes nothing.
const GRACE: Duration = Duration::from_secs(2);

/// Lists sockets until done, or until a signal.
///
/// # Errors
///
/// No socket can be read, or stdout cannot be written.
pub fn run(settings: SocketsSettings) -> Result<(), Error> {
    // This must come before the listing thread is started; `source/load/loader.rs` says why.
    source::prepare_loader()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::during("starting"))?
        .block_on(listen(settings))
}

/// Runs the listing on a thread of its own, because reading and writing block. This thread waits for
/// signals.
async fn listen(settings: SocketsSettings) -> Result<(), Error> {
    let mut stop = Stop::listen()?;
    let asked = Arc::new(AtomicBool::new(false));
    let ended = Arc::new(Notify::new());
    let lister = {
        let (asked, ended) = (asked.clone(), ended.clone());
        thread::Builder::new()
            .name("katrace-list".into())
            .spawn(move || {
                let result = list(&settings, &asked);
                ended.notify_one();
                result
            })
            .map_err(Error::during("starting the lister"))?
    };
    tokio::select! {
        () = ended.notified() => {}
        () = stop.asked() => {
            asked.store(true, Ordering::Relaxed);
            lister.thread().unpark();
            // A signal ends this even if the reader of stdout takes nothing.
            if tokio::time::timeout(GRACE, ended.notified()).await.is_err() {
                return Ok(());
            }
        }
    }
    lister.join().unwrap_or_else(|_| {
        Err(Error::during("listing")(io::Error::other(
            "the lister died",
        )))
    })
}

fn list(settings: &SocketsSettings, asked: &AtomicBool) -> Result<(), Error> {
    let mut reader = Reader::open(&settings.read)?;
    if let Some(refused) = &reader.refused {
        messages::say(format_args!(
            "katrace: sockets are read by sock_diag and getsockopt ({refused}): those that no process \
             holds show no settings"
        ));
    }
    let mut first = true;
    while !asked.load(Ordering::Relaxed) {
        let mut listing = Listing::new(settings, asked);
        listing.begin(first);
        first = false;
        reader.read(&mut listing)?;
        match listing.end() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result.map_err(Error::during("writing to stdout"))?,
        }
        let Some(pause) = settings.watch else { break };
        let until = Instant::now() + pause;
        // park_timeout may return early without a reason.
        while !asked.load(Ordering::Relaxed)
            && let Some(left) = until.checked_duration_since(Instant::now())
        {
            thread::park_timeout(left);
        }
    }
    Ok(())
}

/// One listing on its way to stdout.
struct Listing<'a> {
    settings: &'a SocketsSettings,
    asked: &'a AtomicBool,
    sink: RowSink,
    out: Vec<u8>,
    written: io::Result<()>,
    /// All rows, where they are to be sorted; otherwise none is kept.
    rows: Vec<Row>,
    /// How many rows fit on the screen; `None` where the screen is not redrawn.
    screenful: Option<usize>,
    printed: usize,
    progress: Progress,
}

impl<'a> Listing<'a> {
    fn new(settings: &'a SocketsSettings, asked: &'a AtomicBool) -> Self {
        let screen = match settings.output {
            Format::Table => Screen::of_stdout(),
            Format::Json | Format::JsonPretty | Format::Csv => Screen::plain(),
        };
        let redraws = settings.watch.is_some() && settings.output == Format::Table;
        Self {
            // Three lines go to the header, to the count of what does not fit, and to the cursor.
            screenful: screen
                .rows
                .filter(|_| redraws)
                .map(|rows| rows.saturating_sub(3)),
            settings,
            asked,
            sink: RowSink::new(settings.output, screen),
            out: Vec::new(),
            written: Ok(()),
            rows: Vec::new(),
            printed: 0,
            progress: Progress::start(settings.sort.is_some() || !io::stdout().is_terminal()),
        }
    }

    /// On a terminal a listing replaces the one before it; elsewhere an empty line separates them.
    fn begin(&mut self, first: bool) {
        if self.screenful.is_some() {
            self.out.extend_from_slice(b"\x1b[H\x1b[2J");
        } else if !first {
            self.out.push(b'\n');
        }
    }

    fn wants(&self, row: &Row) -> bool {
        (!self.settings.dying || row.unanswered > 0)
            && (!self.settings.no_keepalive || row.keepalive == Some(false))
    }

    fn print(&mut self, row: &Row) {
        self.printed += 1;
        if self.screenful.is_some_and(|lines| self.printed > lines) {
            return;
        }
        // Writing into memory cannot fail.
        let _ = self.sink.row(row, &mut self.out);
        if self.out.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.written.is_ok() {
            let mut stdout = io::stdout().lock();
            self.written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        }
        self.out.clear();
    }

    fn end(mut self) -> io::Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        if let Some(by) = self.settings.sort {
            sort(&mut rows, by);
        }
        rows.iter().for_each(|row| self.print(row));
        let _ = self.sink.finish(&mut self.out);
        if let Some(lines) = self.screenful
            && self.printed > lines
        {
            let more = self.printed - lines;
            self.out
                .extend_from_slice(format!("and {more} more\n").as_bytes());
        }
        self.progress.end();
        self.flush();
        self.written
    }
}

impl Visitor for Listing<'_> {
    fn row(&mut self, row: Row) -> bool {
        self.progress.step();
        if self.wants(&row) {
            if self.settings.sort.is_some() {
                self.rows.push(row);
            } else {
                self.print(&row);
            }
        }
        self.written.is_ok() && !self.asked.load(Ordering::Relaxed)
    }
}
