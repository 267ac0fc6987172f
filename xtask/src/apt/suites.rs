//! Which suite of the Debian archive holds what.

pub const BULLSEYE: &str = "bullseye";
pub const BOOKWORM: &str = "bookworm";
pub const TRIXIE: &str = "trixie";
pub const TRIXIE_BACKPORTS: &str = "trixie-backports";

/// The only suite with several recent compilers' sources.
pub const RUST_SRC: &str = TRIXIE_BACKPORTS;
