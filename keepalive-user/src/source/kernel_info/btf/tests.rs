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

/// BTF of these types, each given as its words. Names are offsets into `strings`.
fn made_of(types: &[&[u32]], strings: &[u8]) -> Vec<u8> {
    let words = types.concat();
    let types_len = (words.len() * 4) as u32;
    let mut data = Vec::new();
    data.extend(MAGIC.to_ne_bytes());
    data.extend([1, 0]);
    let header = [
        HEADER_LEN as u32,
        0,
        types_len,
        types_len,
        strings.len() as u32,
    ];
    for word in header.iter().chain(&words) {
        data.extend(word.to_ne_bytes());
    }
    data.extend(strings);
    data
}

const STRUCT_OF_ONE: u32 = kind::STRUCT << 24 | 1;

fn field_of(types: &[&[u32]], path: &str) -> Result<keepalive_ebpf::wire::Field, BtfError> {
    let data = made_of(types, b"\0sock\0member\0");
    Btf::parse(data, &[Wanted::Struct("sock")])?.field("sock", path)
}

#[test]
fn a_member_of_made_up_types_is_found() {
    let sock = [1, STRUCT_OF_ONE, 4, 6, 2, 32];
    let int = [0, kind::INT << 24, 4, 0];
    let field = field_of(&[&sock, &int], "member").unwrap();
    assert_eq!((field.offset, field.size), (4, 4));
}

#[test]
fn a_structure_that_contains_itself_ends() {
    let sock = [1, STRUCT_OF_ONE, 4, 0, 1, 0];
    assert!(field_of(&[&sock], "member").is_err());
}

#[test]
fn a_structure_that_contains_itself_many_times_ends() {
    let members = 1000;
    let mut sock = vec![1, kind::STRUCT << 24 | members, 4];
    for _ in 0..members {
        sock.extend([0, 1, 0]);
    }
    assert!(field_of(&[&sock], "member").is_err());
}

#[test]
fn an_array_of_itself_ends() {
    let sock = [1, STRUCT_OF_ONE, 4, 6, 2, 0];
    let array = [0, kind::ARRAY << 24, 0, 2, 2, 1];
    assert!(field_of(&[&sock, &array], "member").is_err());
}

#[test]
fn a_typedef_of_itself_ends() {
    let sock = [1, STRUCT_OF_ONE, 4, 6, 2, 0];
    let typedef = [0, kind::TYPEDEF << 24, 2];
    assert!(field_of(&[&sock, &typedef], "member").is_err());
    assert!(field_of(&[&sock, &typedef], "member.inner").is_err());
}

#[test]
fn sizes_and_offsets_that_overflow_are_refused() {
    let int = [0, kind::INT << 24, 8, 0];
    let array = [0, kind::ARRAY << 24, 0, 2, 2, u32::MAX];
    let sock = [1, STRUCT_OF_ONE, 4, 6, 3, 0];
    assert!(field_of(&[&sock, &int, &array], "member").is_err());
    let outer = [1, STRUCT_OF_ONE, 4, 0, 2, u32::MAX];
    let inner = [0, STRUCT_OF_ONE, 4, 6, 3, 8];
    assert!(field_of(&[&outer, &inner, &int], "member").is_err());
}
