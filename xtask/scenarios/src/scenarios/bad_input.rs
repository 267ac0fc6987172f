//! What was typed wrong is refused before anything is attached, in one line that names it.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::lab::{Katrace, output::output};

struct Mistake {
    args: &'static [&'static str],
    named: &'static str,
}

const fn mistake(args: &'static [&'static str], named: &'static str) -> Mistake {
    Mistake { args, named }
}

const MISTAKES: &[Mistake] = &[
    mistake(&["-o", "yaml"], "yaml"),
    mistake(&["-e", "probe,nonsense"], "nonsense"),
    mistake(&["--attach", "magic"], "magic"),
    mistake(&["-a", "10.0.0.0/33"], "10.0.0.0/33"),
    mistake(&["-a", "10.0.0"], "10.0.0"),
    mistake(&["-L", "70000"], "70000"),
    mistake(&["-D", "0x50"], "0x50"),
    mistake(&["-d", "soon"], "soon"),
    // Above the kernel's highest pid_max.
    mistake(&["-p", "4194305"], "4194305"),
    mistake(&["--cgroup", "/nowhere/at/all"], "/nowhere/at/all"),
    mistake(&["--no-such-flag"], "--no-such-flag"),
    mistake(&["audit", "--path", "aws-nbl"], "aws-nbl"),
    mistake(&["audit", "--ignore", "nosy"], "nosy"),
    mistake(&["audit", "--paths", "/nowhere/at/all"], "/nowhere/at/all"),
    mistake(
        &["audit", "--plan", "--detect-within", "1s"],
        "--detect-within",
    ),
];

pub fn is_named(katrace: &Katrace) -> Result<()> {
    for Mistake { args, named } in MISTAKES {
        let output = output(Command::new(&katrace.path).args(*args))?;
        let stderr = output.stderr;
        let said = format!("{args:?} ended with {}: {stderr}", output.status);
        ensure!(output.status.code() == Some(2), "{said}");
        ensure!(output.stdout.is_empty(), "{args:?} wrote to stdout");
        let first = stderr
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        ensure!(first.contains(named), "not named in the first line: {said}");
    }
    Ok(())
}
