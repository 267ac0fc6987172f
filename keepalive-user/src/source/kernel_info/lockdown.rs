//! The kernel's lockdown mode (security/lockdown/lockdown.c).

use std::fs;

const PATH: &str = "/sys/kernel/security/lockdown";

/// The active mode: `none`, `integrity` or `confidentiality`. `None` if the kernel does not tell:
/// it has no lockdown, or securityfs is not mounted.
pub fn mode() -> Option<String> {
    active(&fs::read_to_string(PATH).ok()?)
}

/// The file lists all modes, the active one in brackets: `none [integrity] confidentiality`.
fn active(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_active_mode_is_in_brackets() {
        let text = "none [integrity] confidentiality\n";
        assert_eq!(active(text).as_deref(), Some("integrity"));
        assert_eq!(active("none integrity\n"), None);
        assert_eq!(active("[none"), None);
    }
}
