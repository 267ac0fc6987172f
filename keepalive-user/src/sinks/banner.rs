//! The first lines on stderr: what is watched, and what is not.

use std::io::{self, Write};

use super::sanitize::Escaped;
use crate::event::Ready;

/// Writes what is watched and how, and one line for each thing that this kernel cannot show.
pub(super) fn banner(ready: &Ready, to: &mut Vec<u8>) -> io::Result<()> {
    write!(
        to,
        "katrace {} · Linux {} · {}",
        ready.version,
        Escaped(&ready.kernel),
        ready.attach.name()
    )?;
    if !ready.attach_reason.is_empty() {
        write!(to, " ({})", Escaped(&ready.attach_reason))?;
    }
    writeln!(to, " · Ctrl-C ends")?;
    for gap in &ready.missing {
        writeln!(to, "not shown: {}", Escaped(gap))?;
    }
    Ok(())
}
