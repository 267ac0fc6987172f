//! Makes text from the kernel or a user safe for a terminal and its reader: control characters, escape
//! sequences, changes of direction and invisible characters are written as escapes.

use std::fmt;

/// Displays a text with every harmful character written as `\x1b` or `\u{202e}`.
///
/// A backslash is not escaped: the screen must be safe, and the text need not be recoverable.
///
/// # Examples
///
/// ```
/// use katrace::sinks::sanitize::Escaped;
///
/// assert_eq!(Escaped("nginx: worker").to_string(), "nginx: worker");
/// assert_eq!(Escaped("\x1b[31mred").to_string(), "\\x1b[31mred");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| is_harmful(*c)) {
            f.write_str(&rest[..at])?;
            if found.is_ascii() {
                write!(f, "\\x{:02x}", u32::from(found))?;
            } else {
                write!(f, "\\u{{{:x}}}", u32::from(found))?;
            }
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Whether a character can control a terminal, change the direction of the text around it (Unicode's
/// bidirectional formatting), break the line, or be invisible (zero-width and tag characters).
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmful_characters_are_spelled_out_and_the_rest_is_left() {
        for (raw, shown) in [
            ("nginx: worker", "nginx: worker"),
            ("\x1b[31mx\u{202e}", "\\x1b[31mx\\u{202e}"),
            ("a\nb\tc\0", "a\\x0ab\\x09c\\x00"),
            ("\u{7f}\u{9b}1m", "\\x7f\\u{9b}1m"),
            ("žluť→好", "žluť→好"),
            ("a\u{200b}b\u{e0041}", "a\\u{200b}b\\u{e0041}"),
            ("", ""),
        ] {
            assert_eq!(Escaped(raw).to_string(), shown);
        }
    }
}
