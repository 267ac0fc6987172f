//! Wraps a long sentence over several lines.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::sinks::sanitize::Escaped;

/// How many columns a line takes where the screen has no width.
pub const COLUMNS: usize = 99;

/// Writes `text` in lines of at most `columns` columns. `first` stands before the first line, `next` before the
/// others. A word that does not fit has a line of its own, which is too long.
pub fn wrapped(
    first: &str,
    next: &str,
    text: &str,
    columns: usize,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let (mut line, mut empty) = (first.to_owned(), true);
    for word in Escaped(text).to_string().split(' ') {
        if !empty && line.width() + 1 + word.width() > columns {
            writeln!(out, "{line}")?;
            (line, empty) = (next.to_owned(), true);
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(out, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_never_within() {
        let wrap = |text, columns| {
            let mut out = Vec::new();
            wrapped("# ", "#   ", text, columns, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(wrap("one two three", 9), "# one two\n#   three\n");
        assert_eq!(
            wrap("incomprehensible words", 9),
            "# incomprehensible\n#   words\n"
        );
        assert_eq!(wrap("a\nb", 80), "# a\\x0ab\n");
        assert_eq!(wrap("", 80), "# \n");
    }
}
