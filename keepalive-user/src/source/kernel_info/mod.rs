//! What the running kernel says about itself, before anything is loaded: the layout of its
//! structures (BTF), its symbols, the privileges it grants, its lockdown mode.

pub mod btf;
pub mod functions;
pub mod kallsyms;
pub mod layout;
pub mod lockdown;
pub mod preflight;
