use super::*;

const WANTED: &[Wanted] = &[
    Wanted::Struct("sock"),
    Wanted::Struct("inet_connection_sock"),
    Wanted::Enum("sock_flags"),
    Wanted::Func("tcp_keepalive_timer"),
    Wanted::Func("no_such_function"),
];

fn kernel() -> Btf {
    Btf::of_this_kernel(WANTED).unwrap()
}

#[test]
fn finds_members_of_the_running_kernel() {
    let btf = kernel();
    let common = btf.field("sock", "__sk_common").unwrap();
    assert_eq!(common.offset, 0);
    // Both in anonymous unions.
    let family = btf.field("sock", "__sk_common.skc_family").unwrap();
    assert_eq!(family.size, 2);
    assert_eq!(btf.field("sock", "__sk_common.skc_daddr").unwrap().size, 4);
    assert_eq!(btf.enumerator("sock_flags", "SOCK_DEAD").unwrap(), 0);
    assert_eq!(btf.arguments("tcp_keepalive_timer"), Some(1));
    assert_eq!(btf.arguments("no_such_function"), None);
}

#[test]
fn a_missing_member_is_named() {
    let error = kernel().field("sock", "sk_nothing").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the kernel's BTF has no sk_nothing in struct sock"
    );
}

#[test]
fn broken_data_is_refused() {
    let whole = kernel().data.to_vec();
    for len in [0, 1, 2, 23, 24, 1000] {
        assert!(
            Btf::parse(whole[..len].to_vec(), WANTED).is_err(),
            "{len} bytes"
        );
    }
    let mut unknown = whole;
    // The kind of the first type.
    unknown[HEADER_LEN + 7] = 0x1f;
    assert!(Btf::parse(unknown, WANTED).is_err());
}
