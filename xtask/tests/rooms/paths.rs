//! What one module says: its submodules, its own items, what it brings into scope, and every path it names.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Ident, ImplItem, Item, ItemMod, ItemUse, Macro, Meta, Path, UseTree,
    visit::{self, Visit},
};

/// A path as the source has it, and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub path: Vec<String>,
    pub line: usize,
}

/// One module's own source, without its submodules and without its tests.
#[derive(Debug, Default)]
pub struct Source {
    /// `mod name;`
    pub files: Vec<String>,
    /// `mod name { … }`
    pub inline: Vec<(String, Self)>,
    /// Functions, types and other items defined here.
    pub items: BTreeSet<String>,
    /// Names that `use` brings into scope, and the paths that they stand for.
    pub names: BTreeMap<String, Vec<String>>,
    /// Paths of `use path::*`.
    pub globs: Vec<Vec<String>>,
    pub named: Vec<Named>,
}

impl Source {
    pub fn parse(text: &str) -> syn::Result<Self> {
        Ok(Self::of(&syn::parse_file(text)?.items))
    }

    fn of(items: &[Item]) -> Self {
        let mut source = Self::default();
        items.iter().for_each(|item| source.visit_item(item));
        source
    }

    fn add(&mut self, path: Vec<String>, line: usize) {
        self.named.push(Named { path, line });
    }

    fn use_tree(&mut self, prefix: &[String], tree: &UseTree, line: usize) {
        let with = |name: &Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&with(&path.ident), &path.tree, line),
            UseTree::Group(group) => {
                let mut trees = group.items.iter();
                trees
                    .by_ref()
                    .for_each(|tree| self.use_tree(prefix, tree, line));
            }
            UseTree::Glob(_) => {
                self.globs.push(prefix.to_vec());
                self.add(prefix.to_vec(), line);
            }
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = prefix.last() {
                    self.names.insert(last.clone(), prefix.to_vec());
                }
                self.add(prefix.to_vec(), line);
            }
            UseTree::Name(name) => self.bring(name.ident.to_string(), with(&name.ident), line),
            UseTree::Rename(rename) if rename.ident == "self" => {
                self.bring(rename.rename.to_string(), prefix.to_vec(), line);
            }
            UseTree::Rename(rename) => {
                self.bring(rename.rename.to_string(), with(&rename.ident), line);
            }
        }
    }

    fn bring(&mut self, name: String, path: Vec<String>, line: usize) {
        self.names.insert(name, path.clone());
        self.add(path, line);
    }

    /// Macros hide their paths from the parser, so their tokens are searched for `a::b::c`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end(&mut path, line);
                    colons = 0;
                    self.tokens(group.stream());
                }
                _ => {
                    self.end(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.end(&mut path, line);
    }

    fn end(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.add(path, line);
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = described(item);
        if is_test(attributes) {
            return;
        }
        self.items.extend(name.map(Ident::to_string));
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_test(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.to_string();
        match &module.content {
            Some((_, items)) => self.inline.push((name, Self::of(items))),
            None => self.files.push(name),
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.use_tree(&[], &item.tree, item.use_token.span.start().line);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let Some(first) = path.segments.first().filter(|_| segments.len() > 1) {
            self.add(segments, first.ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, of: &'ast Macro) {
        self.visit_path(&of.path);
        self.tokens(of.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }
}

/// The attributes of an item, and its name where other modules can ask for it.
fn described(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
        Item::Mod(item) => (&item.attrs, None),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}

/// `#[cfg(test)]`, alone or among other conditions that must all hold.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let mut words = list
                .tokens
                .clone()
                .into_iter()
                .filter_map(|token| match token {
                    TokenTree::Ident(word) => Some(word.to_string()),
                    TokenTree::Group(group) => Some(group.stream().to_string()),
                    _ => None,
                });
            match words.next().as_deref() {
                Some("test") => true,
                Some("all") => words
                    .next()
                    .is_some_and(|all| all.split(',').any(|word| word.trim() == "test")),
                _ => false,
            }
        }
        _ => false,
    })
}
