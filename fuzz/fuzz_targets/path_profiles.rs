//! Files of path profiles: each is read, or refused in one line that is safe for a terminal.

#![no_main]

use std::sync::LazyLock;

use katrace::{
    audit::{Hop, Profiles},
    cli::UsageError,
};
use libfuzzer_sys::fuzz_target;

static BUILT_IN: LazyLock<Profiles> = LazyLock::new(|| match Profiles::built_in() {
    Ok(profiles) => profiles,
    Err(fault) => panic!("{fault}"),
});

fuzz_target!(|text: &str| {
    match katrace::fuzzing::path_profiles(BUILT_IN.clone(), text) {
        Ok(profiles) => {
            for profile in profiles.iter() {
                assert!(profile.idle_timeout_ms > 0);
                assert_eq!(Hop::from(profile).name, profile.name);
                assert!(profiles.named(&profile.name).is_some());
            }
        }
        Err(refusal) => {
            let line = UsageError::from(refusal).to_string();
            assert!(line.starts_with("--paths fuzzed.toml"), "{line:?}");
            assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        }
    }
});
