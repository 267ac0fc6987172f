//! Stock kernels to boot: the cloud builds of the Debian archive, or any image by its path.

pub mod modules;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt::{Archive, suites};
use crate::{cache, progress, version};

/// A line of kernels that the tests cover.
#[derive(Debug)]
pub struct Series {
    pub name: &'static str,
    suite: &'static str,
    /// What the version of every kernel in it begins with.
    prefix: &'static str,
}

pub const ALL: [Series; 4] = [
    Series {
        name: "5.10",
        suite: suites::BULLSEYE,
        prefix: "5.10.",
    },
    Series {
        name: "6.1",
        suite: suites::BOOKWORM,
        prefix: "6.1.",
    },
    Series {
        name: "6.12",
        suite: suites::TRIXIE,
        prefix: "6.12.",
    },
    Series {
        name: "newest",
        suite: suites::TRIXIE_BACKPORTS,
        prefix: "7.",
    },
];

/// A kernel ready to boot.
pub struct Kernel {
    pub name: String,
    pub image: PathBuf,
    /// Tree of its modules; a kernel of one's own may have none.
    pub modules: Option<PathBuf>,
}

/// The kernel that the user named: a series, or the path of an image.
pub fn named(name: &str, modules: Option<&Path>) -> Result<Kernel> {
    if let Some(series) = series(name) {
        let mut kernel = fetch(series)?;
        if let Some(dir) = modules {
            kernel.modules = Some(dir.to_owned());
        }
        return Ok(kernel);
    }
    let image = Path::new(name);
    if !image.is_file() {
        let known: Vec<&str> = ALL.iter().map(|series| series.name).collect();
        bail!(
            "no kernel {name}: it is neither a file nor one of {}",
            known.join(", ")
        );
    }
    Ok(Kernel {
        name: "own".to_owned(),
        image: image.to_owned(),
        modules: modules.map(Path::to_owned),
    })
}

pub fn series(name: &str) -> Option<&'static Series> {
    let name = if name == "7.x" { "newest" } else { name };
    ALL.iter().find(|series| series.name == name)
}

pub fn fetch(series: &Series) -> Result<Kernel> {
    let dir = cache::entry(&format!("kernels/{}", series.name), |dir| {
        progress::step(&format!("fetching kernel {}", series.name), || {
            install(series, dir)
        })
    })
    .with_context(|| format!("cannot get a kernel {}", series.name))?;
    Ok(Kernel {
        name: series.name.to_owned(),
        image: dir.join("vmlinuz"),
        modules: Some(dir.join("modules")),
    })
}

fn install(series: &Series, dir: &Path) -> Result<()> {
    let archive = Archive::open(series.suite)?;
    let package = newest(archive.names("linux-image-")?, series.prefix).with_context(|| {
        format!(
            "suite {} has no linux-image-{}*-cloud-amd64",
            series.suite, series.prefix
        )
    })?;
    let release = release(&package).unwrap_or_default().to_owned();
    // Up to 6.x one package holds all; later ones split it, and each part carries the release in its name.
    let mut packages = archive.depends(&package)?;
    packages.retain(|name| name.contains(&release));
    packages.push(package);

    let tree = dir.join("unpacked");
    archive.fetch(&packages, &tree)?;
    keep(&tree, &format!("{release}-cloud-amd64"), dir)?;
    cache::remove(&tree)
}

/// Moves the image and the modules, from wherever this Debian release puts them.
fn keep(tree: &Path, version: &str, dir: &Path) -> Result<()> {
    let modules = ["usr/lib/modules", "lib/modules"]
        .map(|lib| tree.join(lib).join(version))
        .into_iter()
        .find(|path| path.is_dir())
        .with_context(|| format!("the package of {version} holds no modules"))?;
    let image = [
        modules.join("vmlinuz"),
        tree.join("boot").join(format!("vmlinuz-{version}")),
    ]
    .into_iter()
    .find(|path| path.is_file())
    .with_context(|| format!("the package of {version} holds no vmlinuz"))?;
    for (from, to) in [(&image, "vmlinuz"), (&modules, "modules")] {
        fs::rename(from, dir.join(to))
            .with_context(|| format!("cannot move {} to {}", from.display(), dir.display()))?;
    }
    Ok(())
}

/// The newest cloud kernel among package names.
fn newest(names: Vec<String>, prefix: &str) -> Option<String> {
    names
        .into_iter()
        .filter(|name| release(name).is_some_and(|release| release.starts_with(prefix)))
        .max_by(|a, b| version::compare(a, b))
}

fn release(package: &str) -> Option<&str> {
    package
        .strip_prefix("linux-image-")?
        .strip_suffix("-cloud-amd64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_of_a_series() {
        let names = [
            "linux-image-7.2.9+deb13-cloud-amd64",
            "linux-image-7.2.12+deb13-cloud-amd64",
            "linux-image-7.2.12+deb13-amd64",
            "linux-image-7.2.99+deb13-cloud-amd64-unsigned",
            "linux-image-7.3.1+deb13-cloud-amd64-dbg",
            "linux-image-6.19.14+deb13-cloud-amd64",
            "linux-image-cloud-amd64",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(
            newest(names.clone(), "7.").as_deref(),
            Some("linux-image-7.2.12+deb13-cloud-amd64")
        );
        assert_eq!(newest(names, "5.10."), None);
    }

    #[test]
    fn a_series_by_either_name() {
        assert_eq!(series("7.x").map(|series| series.name), Some("newest"));
        assert!(series("4.19").is_none());
    }
}
