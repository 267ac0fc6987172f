//! The modules of a crate as files, and where a path leads.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::paths::Source;

/// `use` chains longer than this are circular.
const HOPS: usize = 16;

/// Reads one file, by its path in the repository; `None` where there is none.
pub type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// One import: a file that names something in another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: PathBuf,
    pub to: PathBuf,
    /// Where `from` names it first.
    pub line: usize,
    pub path: String,
}

struct Module {
    file: PathBuf,
    root: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    source: Source,
}

/// The modules of some crates.
#[derive(Default)]
pub struct Tree {
    modules: Vec<Module>,
    /// Libraries, by the name that other crates import them by.
    libraries: BTreeMap<String, usize>,
}

impl Tree {
    /// Adds what belongs to a crate root: `lib.rs`, `main.rs` or a file of `bin/`. `library` is the name that other
    /// crates import it by.
    pub fn add(&mut self, root: &Path, library: Option<&str>, read: Read) -> Result<(), String> {
        let text = read(root).ok_or_else(|| format!("there is no {}", root.display()))?;
        let source = parse(root, &text)?;
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        let id = self.module(root.to_owned(), &folder, None, source, read)?;
        if let Some(name) = library {
            self.libraries.insert(name.to_owned(), id);
        }
        Ok(())
    }

    /// `folder` is where the files of its submodules are.
    fn module(
        &mut self,
        file: PathBuf,
        folder: &Path,
        parent: Option<usize>,
        mut source: Source,
        read: Read,
    ) -> Result<usize, String> {
        let id = self.modules.len();
        let inline = std::mem::take(&mut source.inline);
        let files = std::mem::take(&mut source.files);
        self.modules.push(Module {
            file: file.clone(),
            root: parent.map_or(id, |parent| self.modules[parent].root),
            parent,
            children: BTreeMap::new(),
            source,
        });
        for (name, source) in inline {
            let child = self.module(file.clone(), &folder.join(&name), Some(id), source, read)?;
            self.modules[id].children.insert(name, child);
        }
        for name in files {
            let inner = folder.join(&name);
            let places = [folder.join(format!("{name}.rs")), inner.join("mod.rs")];
            let found = places.into_iter().find_map(|at| Some((read(&at)?, at)));
            let (text, at) =
                found.ok_or_else(|| format!("{}: mod {name} has no file", file.display()))?;
            let source = parse(&at, &text)?;
            let child = self.module(at, &inner, Some(id), source, read)?;
            self.modules[id].children.insert(name, child);
        }
        Ok(id)
    }

    pub fn files(&self) -> BTreeSet<PathBuf> {
        self.modules
            .iter()
            .map(|module| module.file.clone())
            .collect()
    }

    /// Each pair of files once.
    pub fn imports(&self) -> Vec<Import> {
        let mut found = BTreeMap::new();
        for (id, module) in self.modules.iter().enumerate() {
            for named in &module.source.named {
                let Some(to) = self.resolve(id, &named.path, HOPS) else {
                    continue;
                };
                let to = &self.modules[to].file;
                if *to == module.file {
                    continue;
                }
                let pair = (module.file.clone(), to.clone());
                found.entry(pair).or_insert_with(|| Import {
                    from: module.file.clone(),
                    to: to.clone(),
                    line: named.line,
                    path: named.path.join("::"),
                });
            }
        }
        found.into_values().collect()
    }

    /// The module whose file has what `path` names when `from` says it. `None` for what is not of these crates.
    fn resolve(&self, from: usize, path: &[String], hops: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let hops = hops.checked_sub(1)?;
        let module = &self.modules[from];
        match first.as_str() {
            "crate" => self.walk(module.root, rest, hops),
            "self" => self.walk(from, rest, hops),
            "super" => self.walk(module.parent?, rest, hops),
            name => {
                if let Some(child) = module.children.get(name) {
                    return self.walk(*child, rest, hops);
                }
                if let Some(path) = module.source.names.get(name).filter(|it| it[0] != *name) {
                    return self.resolve(from, &[path, rest].concat(), hops);
                }
                self.walk(*self.libraries.get(name)?, rest, hops)
            }
        }
    }

    fn walk(&self, at: usize, path: &[String], hops: usize) -> Option<usize> {
        let Some((first, rest)) = path.split_first() else {
            return Some(at);
        };
        let module = &self.modules[at];
        if first == "super" {
            return self.walk(module.parent?, rest, hops);
        }
        if let Some(child) = module.children.get(first) {
            return self.walk(*child, rest, hops);
        }
        if module.source.items.contains(first) {
            return Some(at);
        }
        // What is re-exported belongs to the file that defines it.
        if let Some(path) = module.source.names.get(first) {
            return self.resolve(at, &[path, rest].concat(), hops).or(Some(at));
        }
        for glob in &module.source.globs {
            let inner = self.resolve(at, glob, hops);
            let defines = |id: &usize| self.modules[*id].source.items.contains(first);
            if let Some(found) = inner.filter(defines) {
                return Some(found);
            }
        }
        Some(at)
    }
}

fn parse(file: &Path, text: &str) -> Result<Source, String> {
    Source::parse(text).map_err(|error| format!("{}: {error}", file.display()))
}
