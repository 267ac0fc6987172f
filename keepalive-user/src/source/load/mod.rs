//! From the compiled kernel half to maps and programs that aya has in hand. Nothing is attached here.

pub mod filters;
pub mod loader;
pub mod object;

use keepalive_ebpf::wire::Config;

use super::kernel_info::{layout::KernelTypes, preflight};
use crate::settings::Filters;

/// The settings of the kernel half that come from this kernel and from the filters.
pub fn config(types: &KernelTypes, filters: &Filters) -> Config {
    let mut config = Config {
        hz: preflight::hz(),
        ..Config::UNSET
    };
    types.apply(&mut config);
    filters::apply(filters, &mut config);
    config
}
