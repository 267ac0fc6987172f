use proptest::prelude::*;

use super::*;

const A: &str = "66d6d4ac9851cfcab8400277ad96770ce52c1d75eeac29046753875056eacaed";
const B: &str = "ee4b20e90ac7f42a10bd004d05646b13d8ab5e2c5e7cbc01abf8006bac016459";
const UID: &str = "a5c1f8d5-1919-434d-add7-4afaafdaef89";
const TASK: &str = "c23e5f76c09d438aa1824ca4058bdcab";

/// Puts the values above into a text of the table.
fn filled(text: &str) -> String {
    text.replace("{A}", A)
        .replace("{B}", B)
        .replace("{UID}", UID)
        .replace("{UID_}", &UID.replace('-', "_"))
        .replace("{TASK}", TASK)
}

/// Container, runtime, pod and unit.
fn row(place: &Place) -> [Option<&str>; 4] {
    let container = place.container.as_ref();
    [
        container.map(|container| container.id.as_str()),
        container.and_then(|container| container.runtime.map(Runtime::name)),
        place.pod.as_deref(),
        place.unit.as_deref(),
    ]
}

#[test]
fn paths_of_the_table() {
    let lines = include_str!("paths.txt").lines();
    let rows = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut checked = 0;
    for line in rows {
        let line = filled(line);
        let mut columns = line.split_whitespace();
        let path = columns.next().unwrap();
        let wanted: Vec<_> = columns.map(|c| (c != "-").then_some(c)).collect();
        let place = place(format!("0::{path}\n").as_bytes()).unwrap();
        assert_eq!(place.path, path);
        assert_eq!(row(&place)[..], wanted, "{path}");
        checked += 1;
    }
    assert!(checked >= 70, "{checked} rows");
}

#[test]
fn the_line_that_tells_most() {
    let read = |text: &str| place(filled(text).as_bytes()).unwrap();
    // Docker with cgroupfs: its cgroup2 path is the daemon's.
    let hybrid = read(
        "12:net_cls,net_prio:/docker/{A}\n10:rdma:/\n3:pids:/docker/{A}\n1:name=systemd:/docker/{A}\n0::/system.slice/containerd.service\n",
    );
    assert_eq!(hybrid.path, filled("/docker/{A}"));
    assert_eq!(row(&hybrid), [Some(A), Some("docker"), None, None]);
    // A daemon inside a container, known to systemd as a service.
    let inner = read("9:memory:/docker/{A}\n1:name=systemd:/system.slice/docker.service\n");
    assert_eq!(row(&inner), [Some(A), Some("docker"), None, None]);
    // As much in both: the cgroup2 path.
    let both = read("5:pids:/system.slice/ssh.service/x\n0::/system.slice/ssh.service\n");
    assert_eq!(both.path, "/system.slice/ssh.service");
    let pure_v1 = read(
        "11:cpuacct,cpu:/system.slice\n9:pids:/system.slice/ssh.service\n1:name=systemd:/system.slice/ssh.service\n",
    );
    assert_eq!(row(&pure_v1), [None, None, None, Some("ssh.service")]);
    assert_eq!(read("3:cpu:/\n0::/\n").path, "/");
}

#[test]
fn odd_text() {
    let read = |text: &[u8]| place(text).unwrap();
    let gone = read(filled("0::/system.slice/docker-{A}.scope (deleted)\n").as_bytes());
    assert_eq!(gone.path, filled("/system.slice/docker-{A}.scope"));
    assert_eq!(row(&gone)[0], Some(A));

    assert_eq!(place(b""), None);
    assert_eq!(place(b"\n\n::\n0::\n0:x\nzero::/a\n0::relative\n"), None);
    // Names that only look like ids, pods and units.
    for name in [
        "/docker/66D6D4AC9851CFCAB8400277AD96770CE52C1D75EEAC29046753875056EACAED",
        "/docker/66d6",
        "/kubepods/podcast",
        "/kubepods/pod123",
        "/x/.service",
        "/x/evil\u{1b}[2J.service",
        "/x/two words.scope",
        "/lxc.payload.",
    ] {
        assert_eq!(
            row(&read(format!("0::{name}\n").as_bytes())),
            [None; 4],
            "{name}"
        );
    }
    let long = format!("0::/{}.service\n", "a".repeat(100_000));
    assert_eq!(row(&read(long.as_bytes())), [None; 4]);
    let other = read(b"0::/system.slice/caf\xe9.d/ssh.service\n");
    assert_eq!(other.path, "/system.slice/caf\u{fffd}.d/ssh.service");
    // An escape that is none.
    assert_eq!(unescape("a\\x2db\\xzz\\x\\x2"), "a-b\\xzz\\x\\x2");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = place(&bytes);
    }

    #[test]
    fn no_path_panics(path in "(/(pod|lxc\\.payload\\.|machine-|systemd-nspawn@|docker-|ecs|:|_)?(\\\\x)?[0-9a-fé_-]{0,66}(\\.scope|\\.slice|\\.service)?){0,6}") {
        let read = place(format!("0::/{path}\n").as_bytes());
        prop_assert!(read.is_some_and(|read| read.path.ends_with(&path)));
    }
}
