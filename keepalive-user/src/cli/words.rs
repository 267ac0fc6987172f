//! Arguments that take one word out of a closed set, such as `--attach`.
//!
//! The set itself is a [`ValueEnum`], so that clap knows it for completions. The refusal is katrace's
//! own: one line, in the form of all others.

use std::{ffi::OsStr, marker::PhantomData};

use clap::{
    Arg, Command, ValueEnum,
    builder::{PossibleValue, TypedValueParser},
    error::ErrorKind,
};

use super::{error::UsageError, value::refused};
use crate::{
    audit::{Rule, Severity},
    event::{Attach, EventKind},
    settings::AttachChoice,
};

/// Parses one word of the set `T`.
#[derive(Clone, Debug)]
pub(super) struct OneOf<T> {
    /// What the words name, in the singular: `no such …`.
    noun: &'static str,
    /// Says why a word is refused, where there is more to say than that it does not exist.
    explain: fn(&str) -> Option<&'static str>,
    set: PhantomData<fn() -> T>,
}

impl<T: ValueEnum + 'static> OneOf<T> {
    pub(super) fn new(noun: &'static str) -> Self {
        Self {
            noun,
            explain: |_| None,
            set: PhantomData,
        }
    }

    /// The same, with reasons for some words.
    pub(super) fn explaining(self, explain: fn(&str) -> Option<&'static str>) -> Self {
        Self { explain, ..self }
    }

    fn words() -> impl Iterator<Item = PossibleValue> {
        T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value)
    }

    fn refusal(&self, arg: Option<&Arg>, word: &str) -> UsageError {
        let why = match (self.explain)(word) {
            Some(reason) => reason.to_owned(),
            None => format!("no such {}", self.noun),
        };
        let accepted: Vec<String> = Self::words()
            .map(|word| word.get_name().to_owned())
            .collect();
        refused(flag(arg), word, why, accepted.join(", "))
    }
}

/// `-o` where there is a short form, otherwise `--output`.
fn flag(arg: Option<&Arg>) -> String {
    let short = arg
        .and_then(Arg::get_short)
        .map(|short| format!("-{short}"));
    let long = || arg.and_then(Arg::get_long).map(|long| format!("--{long}"));
    short.or_else(long).unwrap_or_default()
}

impl<T: ValueEnum + Send + Sync + 'static> TypedValueParser for OneOf<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let Some(word) = value.to_str() else {
            return Err(clap::Error::new(ErrorKind::InvalidUtf8).with_cmd(command));
        };
        T::from_str(word, false).map_err(|_| self.refusal(arg, word).into_clap(command))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Self::words()))
    }
}

/// A word of `-e`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventWord {
    Kind(EventKind),
    All,
}

/// The kinds, and `all` after them.
const EVENT_WORDS: [EventWord; EventKind::ALL.len() + 1] = {
    let mut words = [EventWord::All; EventKind::ALL.len() + 1];
    let mut at = 0;
    while at < EventKind::ALL.len() {
        words[at] = EventWord::Kind(EventKind::ALL[at]);
        at += 1;
    }
    words
};

impl ValueEnum for EventWord {
    fn value_variants<'a>() -> &'a [Self] {
        &EVENT_WORDS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Kind(kind) => kind.name(),
            Self::All => "all",
        }))
    }
}

impl ValueEnum for AttachChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Auto,
            Self::Only(Attach::Fentry),
            Self::Only(Attach::Kprobe),
            Self::Only(Attach::Tracepoint),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Auto => "auto",
            Self::Only(attach) => attach.name(),
        }))
    }
}

impl ValueEnum for Severity {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl ValueEnum for Rule {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.id()))
    }
}
