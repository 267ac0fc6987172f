//! katrace as a command that prints once and ends: `sockets` and `audit`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Katrace, Netns, output::output};

/// What one run printed as JSON, and how it ended.
pub struct Once {
    pub code: i32,
    pub records: Vec<Value>,
    pub stderr: String,
}

impl Katrace {
    /// `katrace COMMAND -o json -N INODE ARGS` from here, about one namespace.
    pub fn once(&self, command: &str, about: &Netns, args: &[&str]) -> Result<Once> {
        let inode = about.inode.to_string();
        let mut run = Command::new(&self.path);
        run.args([command, "-o", "json", "-N", &inode]).args(args);
        let output = output(&mut run)?;
        let code = output.status.code();
        let code = code.filter(|code| *code < 2).with_context(|| {
            format!(
                "katrace {command} {args:?}: {}: {}",
                output.status, output.stderr
            )
        })?;
        let record =
            |line: &str| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"));
        Ok(Once {
            code,
            records: output.stdout.lines().map(record).collect::<Result<_>>()?,
            stderr: output.stderr,
        })
    }

    /// The findings of an audit of one namespace; exit 1 exactly when there are any.
    pub fn audit(&self, about: &Netns, args: &[&str]) -> Result<Vec<Value>> {
        let once = self.once("audit", about, args)?;
        ensure!(
            (once.code == 1) != once.records.is_empty(),
            "{} findings, and exit {}: {}",
            once.records.len(),
            once.code,
            once.stderr
        );
        Ok(once.records)
    }
}
