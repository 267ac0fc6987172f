//! Where a process runs, told from the text of /proc/PID/cgroup alone: its container, pod and
//! systemd unit.
//!
//! Pure and total. The names that runtimes give their cgroups prove a container; where a name
//! proves nothing, nothing is said. No runtime is asked for more.

#[cfg(test)]
mod tests;

use crate::event::{Container, Place, Runtime};

/// Reads the whole of /proc/PID/cgroup (man cgroups(7)). `None` if no line has the form that cgroups(7)
/// describes.
///
/// On a host with both versions of cgroups, the cgroup2 path may be `/` while a cgroup1 path names the
/// container. So the path that tells most is taken, and everything comes from that one.
pub fn place(file: &[u8]) -> Option<Place> {
    let text = String::from_utf8_lossy(file);
    let paths = text.lines().filter_map(Line::parse);
    paths
        .map(|line| (line.rank(), Place::of_path(line.path)))
        .min_by_key(|(rank, place)| (std::cmp::Reverse(place.tells()), *rank))
        .map(|(_, place)| place)
}

/// `hierarchy:controllers:path`; the path may have colons of its own.
struct Line<'a> {
    controllers: &'a str,
    path: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let hierarchy = fields.next()?;
        let line = Self {
            controllers: fields.next()?,
            path: fields.next()?,
        };
        (hierarchy.parse::<u32>().is_ok() && line.path.starts_with('/')).then_some(line)
    }

    /// Where two paths tell equally much, the one with the lower rank is taken.
    fn rank(&self) -> u8 {
        match self.controllers {
            "" => 0,
            "name=systemd" => 1,
            "pids" => 2,
            "memory" => 3,
            _ => 4,
        }
    }
}

impl Place {
    fn of_path(path: &str) -> Self {
        // The kernel's word for a cgroup that was removed while a process was still on its way out.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let mut place = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        for (at, name) in names.iter().enumerate() {
            let (before, after) = names.split_at(at);
            let after = after.get(1).copied();
            if let Some(container) = container(before, name, after) {
                place.container = Some(container);
            }
            if let Some(pod) = pod(name) {
                place.pod = Some(pod);
            }
            // `init.scope` is where a systemd manager itself runs. The unit above it, if there is one,
            // tells more.
            if let Some(unit) = unit(name)
                && (unit != "init.scope" || place.unit.is_none())
            {
                place.unit = Some(unit.to_owned());
            }
        }
        place
    }

    fn tells(&self) -> u8 {
        match self {
            Self { container, pod, .. } if container.is_some() || pod.is_some() => 3,
            Self { unit, .. } if unit.is_some() => 2,
            Self { path, .. } if path != "/" => 1,
            _ => 0,
        }
    }
}

/// The container that a directory stands for, from its name and its neighbours'.
fn container(before: &[&str], name: &str, after: Option<&str>) -> Option<Container> {
    let parent = before.last().copied().unwrap_or_default();
    oci(parent, name)
        .or_else(|| fargate(before, name))
        .or_else(|| machine(parent, name, after))
}

/// `docker-ID.scope`, `….slice:cri-containerd:ID`, `crio-ID`, or the id alone in a directory that
/// may tell the runtime. The monitor of a container (conmon) has a cgroup with a name of the same form.
fn oci(parent: &str, name: &str) -> Option<Container> {
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let at = stem.len().checked_sub(64)?;
    let id = stem.get(at..).filter(|id| is_hex(id))?;
    let prefix = stem.get(..at)?;
    let runtime = match prefix.rsplit_once(':').map_or(prefix, |(_, last)| last) {
        "" if prefix.is_empty() => match parent {
            "docker" => Some(Runtime::Docker),
            "default" | "k8s.io" => Some(Runtime::Containerd),
            _ => None,
        },
        // The colon that precedes the id.
        "" => runtime_of(prefix.trim_end_matches(':').rsplit(':').next()?)?,
        with_dash => runtime_of(with_dash.strip_suffix('-')?)?,
    };
    Some(Container {
        id: id.to_owned(),
        runtime,
    })
}

/// The outer option is `None` for what is no container, the inner one for a runtime that is not known.
fn runtime_of(prefix: &str) -> Option<Option<Runtime>> {
    Some(match prefix {
        "docker" => Some(Runtime::Docker),
        "cri-containerd" | "containerd" | "nerdctl" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::CriO),
        "libpod" | "libpod-payload" => Some(Runtime::Podman),
        monitor if monitor.ends_with("conmon") => return None,
        _ => None,
    })
}

/// `/ecs/TASK/TASK-NUMBER`, the task being 32 hexadecimal digits.
fn fargate(before: &[&str], name: &str) -> Option<Container> {
    let (task, number) = name.split_once('-')?;
    let fits = task.len() == 32 && is_hex(task) && number.bytes().all(|b| b.is_ascii_digit());
    (fits && !number.is_empty() && before.contains(&"ecs")).then(|| Container {
        id: name.to_owned(),
        runtime: None,
    })
}

/// LXC and systemd-nspawn, whose containers have names. Virtual machines use the same slice, but
/// only nspawn makes a `payload` in its scope.
fn machine(parent: &str, name: &str, after: Option<&str>) -> Option<Container> {
    let id = if let Some(id) = name.strip_prefix("lxc.payload.") {
        id.to_owned()
    } else if parent == "lxc" || parent == "lxc.payload" {
        name.to_owned()
    } else {
        let nspawn = |id: &str| (after == Some("payload")).then(|| unescape(id));
        let libvirt = |id: &str| id.starts_with("lxc\\x2d").then(|| unescape(id));
        let scope = name
            .strip_prefix("machine-")
            .and_then(|name| name.strip_suffix(".scope"));
        let service = name
            .strip_prefix("systemd-nspawn@")
            .and_then(|name| name.strip_suffix(".service"));
        match (scope, service) {
            (Some(id), _) => nspawn(id).or_else(|| libvirt(id))?,
            (None, Some(id)) => nspawn(id)?,
            (None, None) => return None,
        }
    };
    (!id.is_empty()).then_some(Container { id, runtime: None })
}

/// `podUID`, or the last part of `kubepods-burstable-podUID.slice`, where dashes are underscores.
fn pod(name: &str) -> Option<String> {
    let name = name.split(':').next()?;
    let stem = name.strip_suffix(".slice").unwrap_or(name);
    let last = stem.rsplit('-').next()?;
    // Only the driver for cgroupfs keeps the dashes of the uid.
    let uid = last.strip_prefix("pod").or(stem.strip_prefix("pod"))?;
    let uid = uid.replace('_', "-");
    let groups: Vec<&str> = uid.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let fits = matches!(lengths[..], [8, 4, 4, 4, 12] | [32]);
    (fits && groups.iter().all(|group| is_hex(group))).then_some(uid)
}

/// The systemd unit that a directory is named after (systemd.unit(5)).
fn unit(name: &str) -> Option<&str> {
    // systemd escapes names that the kernel's own files might have.
    let name = name.strip_prefix('_').unwrap_or(name);
    let (stem, kind) = name.rsplit_once('.')?;
    let kinds = ["service", "scope", "mount", "socket", "swap"];
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    let fits = !stem.is_empty() && name.len() < 256 && stem.bytes().all(plain);
    (fits && kinds.contains(&kind)).then_some(name)
}

/// Undoes `\xNN` of systemd's unit names; what is no such escape stays.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((plain, escape)) = rest.split_once("\\x") {
        bytes.extend(plain.as_bytes());
        let byte = escape.get(..2).and_then(|d| u8::from_str_radix(d, 16).ok());
        match (byte, escape.get(2..)) {
            (Some(byte), Some(after)) => {
                bytes.push(byte);
                rest = after;
            }
            _ => {
                bytes.extend(b"\\x");
                rest = escape;
            }
        }
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
