//! Packages of the Debian archive, through the machine's own apt with a state folder of its own:
//! nothing is installed, and the machine's package lists stay as they are.

mod machine;
mod sources;
pub mod suites;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cache, proc, progress};
use machine::Machine;

/// One suite of the archive, its package lists fetched.
pub struct Archive {
    config: PathBuf,
    suite: String,
}

impl Archive {
    /// A suite by itself, as if nothing were installed: for packages that are only unpacked.
    pub fn open(suite: &str) -> Result<Self> {
        let machine = Machine::read()?;
        let sources = machine.main()?.stanza(&[suite]);
        Self::prepare(suite, &sources, None)
    }

    /// The machine's own suites and its backports, knowing what is installed: for programs that run here.
    pub fn backports() -> Result<Self> {
        let machine = Machine::read()?;
        let backports = format!("{}-backports", machine.codename);
        let mut sources = String::new();
        for source in &machine.sources {
            let own: Vec<&str> = source
                .suites
                .iter()
                .map(String::as_str)
                .filter(|suite| *suite != backports)
                .collect();
            sources.push_str(&source.stanza(&own));
        }
        sources.push_str(&machine.main()?.stanza(&[&backports]));
        Self::prepare(&backports, &sources, Some(&machine.status))
    }

    fn prepare(suite: &str, sources: &str, installed: Option<&Path>) -> Result<Self> {
        let kind = if installed.is_some() { "host" } else { "suite" };
        let dir = cache::root()?.join("apt").join(format!("{kind}-{suite}"));
        let _lock = cache::lock(&format!("apt-{kind}-{suite}"))?;
        let config = lay_out(&dir, sources, installed)
            .with_context(|| format!("cannot prepare apt's folder {}", dir.display()))?;
        let archive = Self {
            config,
            suite: suite.to_owned(),
        };
        progress::step(&format!("reading the package lists of {suite}"), || {
            archive.update()
        })?;
        Ok(archive)
    }

    fn update(&self) -> Result<()> {
        // Without error-on=any, a suite that the mirror lacks would be a mere warning.
        let mut update = self.tool("apt-get");
        update.args(["--error-on=any", "update"]);
        let what = format!("fetching the package lists of {}", self.suite);
        proc::capture(&mut update, &what)?;
        Ok(())
    }

    /// Every version of a package in this suite.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        let text = self.show(package)?;
        let versions = text
            .lines()
            .filter_map(|line| line.strip_prefix("Version: "));
        Ok(versions.map(str::to_owned).collect())
    }

    /// The names that a package depends on, its alternatives included.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let text = self.show(package)?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Depends: "))
            .unwrap_or_default();
        Ok(dependency_names(line))
    }

    /// What these packages depend on, what that depends on, and so on: for each package its names,
    /// alternatives included. Those that the suite lacks have no entry.
    pub fn dependency_graph(&self, packages: &[&str]) -> Result<HashMap<String, Vec<String>>> {
        let mut depends = self.tool("apt-cache");
        depends
            .args(["depends", "--recurse", "--no-recommends", "--no-suggests"])
            .args([
                "--no-conflicts",
                "--no-breaks",
                "--no-replaces",
                "--no-enhances",
            ])
            .args(packages);
        let what = format!("looking up what {} depend on", packages.join(", "));
        Ok(parse_graph(&proc::capture(&mut depends, &what)?))
    }

    fn show(&self, package: &str) -> Result<String> {
        let mut show = self.tool("apt-cache");
        show.args(["show", package]);
        proc::capture(&mut show, &format!("looking up the package {package}"))
    }

    /// Names of this suite's packages that begin so.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut list = self.tool("apt-cache");
        list.args(["pkgnames", prefix]);
        let text = proc::capture(&mut list, &format!("listing the packages {prefix}*"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Downloads these packages, alone, and unpacks them into `tree`.
    pub fn fetch(&self, packages: &[String], tree: &Path) -> Result<()> {
        let debs = tree.with_added_extension("debs");
        create(&debs)?;
        let mut download = self.tool("apt-get");
        download.current_dir(&debs).arg("download").args(packages);
        proc::capture(&mut download, &format!("fetching {}", packages.join(", ")))?;
        unpack_all(&debs, tree)
    }

    /// Downloads packages of this suite with whatever they need beyond what is installed, and unpacks all into `tree`.
    pub fn fetch_with_dependencies(&self, packages: &[&str], tree: &Path) -> Result<()> {
        let debs = tree.with_added_extension("debs");
        create(&debs.join("partial"))?;
        let mut install = self.tool("apt-get");
        install
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", debs.display()))
            .args(["--yes", "--download-only", "--no-install-recommends"])
            .args(["--target-release", &self.suite, "install"])
            .args(packages);
        let what = format!("fetching {} and the libraries", packages.join(", "));
        proc::capture(&mut install, &what)?;
        unpack_all(&debs, tree)
    }

    fn tool(&self, program: &str) -> Command {
        let mut tool = proc::command(program);
        tool.env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("--config-file")
            .arg(&self.config);
        tool
    }
}

fn lay_out(dir: &Path, sources: &str, installed: Option<&Path>) -> Result<PathBuf> {
    for part in ["lists/partial", "cache/archives/partial", "sources", "none"] {
        create(&dir.join(part))?;
    }
    let status = dir.join("status");
    match installed {
        // A copy: apt locks the folder that holds it, and only root may lock the machine's.
        Some(own) => {
            fs::copy(own, &status)
                .with_context(|| format!("cannot copy {} here", own.display()))?;
        }
        None => write(&status, "")?,
    }
    write(&dir.join("sources/archive.sources"), sources)?;
    let config = dir.join("apt.conf");
    write(&config, &configuration(dir))?;
    Ok(config)
}

/// Read after the machine's configuration, so that its proxies hold and its hooks do not run.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "#clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear DPkg::Pre-Install-Pkgs;\n\
         #clear DPkg::Post-Invoke;\n\
         #clear Acquire::IndexTargets;\n\
         Acquire::IndexTargets::deb::Packages {{\n\
           MetaKey \"$(COMPONENT)/binary-$(ARCHITECTURE)/Packages\";\n\
           ShortDescription \"Packages\";\n\
         }};\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n\
         APT::Sandbox::User \"\";\n\
         APT::Get::List-Cleanup \"true\";\n\
         Dir::State \"{dir}\";\n\
         Dir::State::lists \"{dir}/lists\";\n\
         Dir::State::status \"{dir}/status\";\n\
         Dir::State::extended_states \"{dir}/extended_states\";\n\
         Dir::Cache \"{dir}/cache\";\n\
         Dir::Cache::archives \"{dir}/cache/archives\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\n\
         Dir::Etc::sourceparts \"{dir}/sources\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"{dir}/none\";\n"
    )
}

fn unpack_all(debs: &Path, tree: &Path) -> Result<()> {
    create(tree)?;
    let entries = fs::read_dir(debs).with_context(|| format!("cannot list {}", debs.display()))?;
    let mut unpacked = 0;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list {}", debs.display()))?
            .path();
        if path.extension().is_some_and(|kind| kind == "deb") {
            let mut unpack = proc::command("dpkg-deb");
            unpack.arg("-x").arg(&path).arg(tree);
            proc::capture(&mut unpack, &format!("unpacking {}", path.display()))?;
            unpacked += 1;
        }
    }
    if unpacked == 0 {
        bail!("apt downloaded no package into {}", debs.display());
    }
    cache::remove(debs)
}

fn dependency_names(line: &str) -> Vec<String> {
    line.split([',', '|'])
        .filter_map(|clause| clause.split_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

/// `apt-cache depends`: a package at the margin, what it needs below it; virtual ones in brackets.
fn parse_graph(text: &str) -> HashMap<String, Vec<String>> {
    let mut graph: HashMap<String, Vec<String>> = HashMap::new();
    let mut needs: Option<&mut Vec<String>> = None;
    for line in text.lines() {
        if !line.starts_with([' ', '<', '|']) {
            needs = Some(graph.entry(line.to_owned()).or_default());
        } else if line.starts_with('<') {
            needs = None;
        } else if let (Some(needs), Some((_, name))) = (&mut needs, line.split_once("Depends: ")) {
            needs.push(name.to_owned());
        }
    }
    graph
}

fn create(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::dependency_names;

    #[test]
    fn a_graph_of_dependencies() {
        let text = "redis-tools\n  Depends: libc6\n |Depends: <mail>\n    other\n  PreDepends: sh\n\
                    libc6\n<mail>\n  Depends: nothing\n";
        let graph = super::parse_graph(text);
        assert_eq!(graph["redis-tools"], ["libc6", "<mail>", "sh"]);
        assert!(graph["libc6"].is_empty());
        assert_eq!(graph.len(), 2);
    }

    #[test]
    fn dependencies_without_versions_and_architectures() {
        let line = "kmod, initramfs-tools (>= 0.120) | dracut, linux-base-7:amd64 (= 1)";
        assert_eq!(
            dependency_names(line),
            ["kmod", "initramfs-tools", "dracut", "linux-base-7"]
        );
        assert!(dependency_names("").is_empty());
    }
}
