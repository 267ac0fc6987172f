//! The picture of the README: what katrace writes to a terminal during the demo, drawn as SVG.

use std::fs;
use std::path::PathBuf;

use anstyle::{Color, RgbColor};
use anstyle_svg::{Palette, Term};
use anyhow::{Context, Result};

use crate::build::{self, Profile};
use crate::{host, proc, workspace};

/// The line above the table. The demo starts katrace with these arguments inside its own network namespace.
const PROMPT: &str = "$ sudo katrace -N self";

const BACKGROUND: RgbColor = RgbColor(24, 26, 31);
const TEXT: RgbColor = RgbColor(214, 218, 224);
/// Black to white, each light enough to be read on the background.
const COLOURS: [RgbColor; 8] = [
    RgbColor(90, 96, 106),
    RgbColor(244, 108, 108),
    RgbColor(112, 200, 122),
    RgbColor(230, 182, 84),
    RgbColor(104, 156, 244),
    RgbColor(204, 128, 224),
    RgbColor(88, 194, 206),
    TEXT,
];

/// Plays the demo, draws its table and returns the file's name.
///
/// # Errors
///
/// When the build or the demo fails, or a file cannot be read or written.
pub fn draw(out: Option<PathBuf>) -> Result<PathBuf> {
    let out = out.unwrap_or_else(|| workspace::root().join("docs/table.svg"));
    let binaries = build::all(Profile::Static)?;
    let screen = workspace::target_dir()?.join("table.ansi");
    // Made here, so that it belongs to the user also where the demo runs through sudo.
    fs::write(&screen, "").with_context(|| format!("cannot write {}", screen.display()))?;
    let mut demo = host::as_root(&binaries.scenarios, |name| proc::command(name))?;
    demo.args([
        "demo".as_ref(),
        "--katrace".as_ref(),
        binaries.katrace.as_os_str(),
    ])
    .args(["--screen".as_ref(), screen.as_os_str()]);
    proc::run(&mut demo, "the demo")?;
    let written =
        fs::read_to_string(&screen).with_context(|| format!("cannot read {}", screen.display()))?;
    fs::write(&out, render(&written)).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(out)
}

/// The bytes that a terminal was given, as SVG below the prompt.
fn render(written: &str) -> String {
    // A terminal ends a line with both characters; the library wants the second alone.
    let lines = written.replace("\r\n", "\n");
    Term::new()
        .palette(palette())
        .fg_color(Color::Rgb(TEXT))
        .bg_color(Color::Rgb(BACKGROUND))
        .render_svg(&format!("{PROMPT}\n{}", lines.trim_end()))
}

/// The eight colours, and again as the bright ones.
fn palette() -> Palette {
    let mut all = [TEXT; 16];
    for (slot, colour) in all.iter_mut().zip(COLOURS.into_iter().cycle()) {
        *slot = colour;
    }
    Palette(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_drawn_with_its_colours() {
        let svg = render("UTC EVENT\r\n10:25:40 \x1b[31mtimeout\x1b[0m a<b\r\n");
        assert!(svg.starts_with("<svg "), "{svg}");
        assert!(!svg.contains(['\r', '\x1b']), "{svg}");
        assert_eq!(svg.matches("<tspan x=").count(), 3, "{svg}");
        assert!(
            svg.contains(r#"<tspan class="fg-red">timeout</tspan>"#),
            "{svg}"
        );
        assert!(svg.contains("a&lt;b"), "{svg}");
    }
}
