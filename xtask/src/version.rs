//! Order of version numbers as people read them: 6.12.107 comes after 6.12.94.

use std::cmp::Ordering;

pub fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        let (a, b) = (take(&mut left), take(&mut right));
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Cuts the leading run of digits, or of anything else.
fn take<'a>(text: &mut &'a str) -> &'a str {
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text
        .find(|c: char| c.is_ascii_digit() != digit)
        .unwrap_or(text.len());
    let (head, rest) = text.split_at(end);
    *text = rest;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert_eq!(
            compare("6.12.107+deb13", "6.12.94+deb13"),
            Ordering::Greater
        );
        assert_eq!(compare("7.2.12+deb13", "7.10.1+deb13"), Ordering::Less);
        assert_eq!(compare("5.10.0-32", "5.10.0-9"), Ordering::Greater);
        assert_eq!(
            compare("6.12.90+deb12.1", "6.12.90+deb12"),
            Ordering::Greater
        );
        assert_eq!(compare("6.1.0-50", "6.1.0-50"), Ordering::Equal);
    }
}
