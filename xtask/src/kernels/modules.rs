//! The few kernel modules a guest needs, with what they depend on, ready to load.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// What the scenarios need that stock kernels keep in modules: pairs of virtual interfaces, sock_diag,
/// and two that forget idle connections.
const WANTED: [&str; 4] = ["veth", "tcp_diag", "nf_conntrack", "ip_vs"];

pub struct Module {
    pub name: String,
    /// The object, no longer compressed.
    pub content: Vec<u8>,
}

/// The modules in the order to load them. One that the tree lacks is taken to be built into the kernel.
pub fn needed(tree: &Path) -> Result<Vec<Module>> {
    let mut files = HashMap::new();
    index(tree, &mut files)?;
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    for name in WANTED {
        visit(name, &files, &mut seen, &mut order)?;
    }
    Ok(order)
}

fn visit(
    name: &str,
    files: &HashMap<String, PathBuf>,
    seen: &mut HashSet<String>,
    order: &mut Vec<Module>,
) -> Result<()> {
    let Some(path) = files.get(name) else {
        return Ok(());
    };
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let content = read(path)?;
    for dependency in depends(&content) {
        visit(&dependency, files, seen, order)?;
    }
    order.push(Module {
        name: name.to_owned(),
        content,
    });
    Ok(())
}

/// Every module below a folder, by name.
fn index(dir: &Path, files: &mut HashMap<String, PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", dir.display()))?;
        let path = entry.path();
        // Not through links: `build` and `source` point out of the tree.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            index(&path, files)?;
        } else if let Some(name) = module_name(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// Modules call each other with underscores, whatever their file is called.
fn module_name(path: &Path) -> Option<String> {
    let (name, kind) = path.file_name()?.to_str()?.split_once(".ko")?;
    matches!(kind, "" | ".xz" | ".zst").then(|| name.replace('-', "_"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let packed = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let unpacked = match path.extension().and_then(|kind| kind.to_str()) {
        Some("xz") => unpack_xz(&packed),
        Some("zst") => unpack_zstd(&packed),
        _ => return Ok(packed),
    };
    unpacked.with_context(|| format!("cannot decompress {}", path.display()))
}

fn unpack_xz(packed: &[u8]) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    lzma_rs::xz_decompress(&mut Cursor::new(packed), &mut content)
        .map_err(|error| anyhow!("not a readable xz file: {error:?}"))?;
    Ok(content)
}

fn unpack_zstd(packed: &[u8]) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed)
        .map_err(|error| anyhow!("not a readable zstd file: {error}"))?
        .read_to_end(&mut content)?;
    Ok(content)
}

/// The names in the `depends=` string of a module's `.modinfo` section, whose strings end in NUL.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|bytes| bytes == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|byte| *byte == 0).next();
    let value = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    value
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_a_module() {
        let module = b"\x7fELF\0license=GPL\0depends=virtio,virtio-ring\0retpoline=Y\0";
        assert_eq!(depends(module), ["virtio", "virtio_ring"]);
        assert!(depends(b"\x7fELF\0depends=\0name=veth\0").is_empty());
        assert!(depends(b"").is_empty());
    }

    #[test]
    fn names_of_module_files() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(name("net/veth.ko.xz").as_deref(), Some("veth"));
        assert_eq!(name("a/nf-log.ko").as_deref(), Some("nf_log"));
        assert_eq!(name("modules.dep"), None);
        assert_eq!(name("a/veth.ko.sig"), None);
    }

    #[test]
    fn dependencies_come_first() {
        let dir = std::env::temp_dir().join(format!("katrace-modules-{}", std::process::id()));
        fs::create_dir_all(dir.join("net")).unwrap();
        fs::write(dir.join("net/veth.ko"), b"\0depends=base\0").unwrap();
        fs::write(dir.join("base.ko"), b"\0depends=\0").unwrap();
        let names: Vec<String> = needed(&dir).unwrap().into_iter().map(|m| m.name).collect();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(names, ["base", "veth"]);
    }
}
