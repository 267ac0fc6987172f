//! Files and functions that have grown beyond one job.

use std::path::Path;

use syn::{
    Block, ImplItemFn, ItemFn, Signature,
    visit::{self, Visit},
};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

/// What is too long in one file, a line each.
pub fn too_long(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES {
        found.push(format!(
            "{} has {lines} lines, {FILE_LINES} at most",
            file.display()
        ));
    }
    let mut functions = Functions::default();
    match syn::parse_file(text) {
        Ok(parsed) => functions.visit_file(&parsed),
        Err(error) => found.push(format!("{}: {error}", file.display())),
    }
    let long = functions.0.into_iter().filter(|it| it.2 > FUNCTION_LINES);
    found.extend(long.map(|(name, line, lines)| {
        format!(
            "{}:{line} fn {name} has {lines} lines, {FUNCTION_LINES} at most",
            file.display()
        )
    }));
    found
}

/// Name, first line, number of lines.
#[derive(Default)]
struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn add(&mut self, signature: &Signature, block: &Block) {
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().start().line;
        let lines = last - first + 1;
        self.0.push((signature.ident.to_string(), first, lines));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}
