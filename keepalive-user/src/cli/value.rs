//! One value of an argument, read or refused.

use std::borrow::Cow;

use super::error::UsageError;

/// Reads every value of a list.
pub(super) fn list<T>(
    flag: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, String>,
    accepted: impl Into<Cow<'static, str>>,
) -> Result<Vec<T>, UsageError> {
    let accepted = accepted.into();
    texts
        .iter()
        .map(|text| value(flag, text, &read, accepted.clone()))
        .collect()
}

/// Reads a value, if there is one.
pub(super) fn optional<T>(
    flag: &'static str,
    text: Option<&str>,
    read: impl Fn(&str) -> Result<T, String>,
    accepted: impl Into<Cow<'static, str>>,
) -> Result<Option<T>, UsageError> {
    text.map(|text| value(flag, text, read, accepted))
        .transpose()
}

/// Reads a value with `read`, which says why it refuses. `accepted` is what it would have taken.
pub(super) fn value<T>(
    flag: &'static str,
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
    accepted: impl Into<Cow<'static, str>>,
) -> Result<T, UsageError> {
    read(text).map_err(|why| refused(flag, text, why, accepted))
}

/// The refusal of a value.
pub(super) fn refused(
    flag: impl Into<Cow<'static, str>>,
    value: &str,
    why: impl Into<String>,
    accepted: impl Into<Cow<'static, str>>,
) -> UsageError {
    UsageError::Value {
        flag: flag.into(),
        value: value.to_owned(),
        why: why.into(),
        accepted: accepted.into(),
    }
}
