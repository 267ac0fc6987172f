//! Cuts a kernel's BTF down to the types that katrace looks up, small enough to keep in the repository.
//!
//! What is kept: the wanted types and everything that is part of them by value. A pointer is kept as a
//! pointer to void, a function as its number of arguments. Offsets and sizes are those of the kernel.

use std::{
    collections::{BTreeSet, HashMap},
    env, fs,
};

use super::*;

/// Fields of a type's tail that are names or type ids.
enum Word {
    Name,
    Type,
    Plain,
}

impl Word {
    /// The words of one element of the tail of a kind, in order.
    fn of(kind: u32) -> &'static [Self] {
        match kind {
            kind::STRUCT | kind::UNION => &[Self::Name, Self::Type, Self::Plain],
            kind::ARRAY => &[Self::Type, Self::Type, Self::Plain],
            kind::ENUM => &[Self::Name, Self::Plain],
            kind::ENUM64 => &[Self::Name, Self::Plain, Self::Plain],
            _ => &[Self::Plain],
        }
    }
}

/// Does the third word of a type's fixed part name another type?
fn refers(kind: u32) -> bool {
    matches!(
        kind,
        kind::TYPEDEF
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT
            | kind::FUNC
            | kind::TYPE_TAG
            | kind::VAR
    )
}

struct Cutter<'a> {
    from: &'a Btf<Vec<u8>>,
    kept: BTreeSet<u32>,
    ids: HashMap<u32, u32>,
    names: HashMap<Vec<u8>, u32>,
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Cutter<'_> {
    fn word(&self, at: usize) -> u32 {
        u32_at(&self.from.data, at).unwrap()
    }

    /// Keeps a type and what is part of it by value.
    fn keep(&mut self, id: u32) {
        if id == 0 || !self.kept.insert(id) {
            return;
        }
        let at = self.from.at(id).unwrap();
        let info = self.from.info(at).unwrap();
        if refers(info.kind) {
            self.keep(self.word(at + 8));
        }
        let (elements, words) = (elements(&info), Word::of(info.kind));
        for i in 0..elements * words.len() {
            if matches!(words[i % words.len()], Word::Type) {
                self.keep(self.word(at + TYPE_LEN + i * 4));
            }
        }
    }

    fn name(&mut self, offset: u32) -> u32 {
        let start = self.from.strings + offset as usize;
        let name = self.from.data[start..].split(|byte| *byte == 0).next();
        let name = name.unwrap().to_vec();
        if name.is_empty() {
            return 0;
        }
        let next = self.strings.len() as u32;
        *self.names.entry(name).or_insert_with_key(|name| {
            self.strings.extend_from_slice(name);
            self.strings.push(0);
            next
        })
    }

    fn put(&mut self, word: u32) {
        self.types.extend(word.to_ne_bytes());
    }

    fn write(&mut self, id: u32) {
        let at = self.from.at(id).unwrap();
        let info = self.from.info(at).unwrap();
        let third = self.word(at + 8);
        let name = self.name(self.word(at));
        self.put(name);
        self.put(self.word(at + 4));
        self.put(if refers(info.kind) {
            self.ids.get(&third).copied().unwrap_or(0)
        } else if info.kind == kind::PTR || info.kind == kind::FUNC_PROTO {
            0
        } else {
            third
        });
        let words = Word::of(info.kind);
        let tail = info.tail().unwrap() / 4;
        for i in 0..tail {
            let word = self.word(at + TYPE_LEN + i * 4);
            let new = match words[i % words.len()] {
                Word::Name => self.name(word),
                Word::Type => self.ids.get(&word).copied().unwrap_or(0),
                Word::Plain if info.kind == kind::FUNC_PROTO => 0,
                Word::Plain => word,
            };
            self.put(new);
        }
    }
}

/// How often the words of [`Word::of`] repeat in a type's tail.
fn elements(info: &Info) -> usize {
    match info.kind {
        kind::ARRAY => 1,
        kind::STRUCT | kind::UNION => info.len,
        _ => 0,
    }
}

fn cut(whole: Vec<u8>, wanted: &[Wanted]) -> Vec<u8> {
    let btf = Btf::parse(whole, wanted).unwrap();
    let mut cutter = Cutter {
        from: &btf,
        kept: BTreeSet::new(),
        ids: HashMap::new(),
        names: HashMap::new(),
        types: Vec::new(),
        strings: vec![0],
    };
    for wanted in wanted {
        cutter.keep(btf.id(*wanted).unwrap_or(0));
    }
    let kept: Vec<u32> = cutter.kept.iter().copied().collect();
    cutter.ids = kept.iter().copied().zip(1..).collect();
    for id in kept {
        cutter.write(id);
    }
    let (types, strings) = (cutter.types, cutter.strings);
    let lengths = [types.len() as u32, strings.len() as u32];
    let mut out = Vec::new();
    out.extend(MAGIC.to_ne_bytes());
    out.extend([1, 0]);
    for word in [HEADER_LEN as u32, 0, lengths[0], lengths[0], lengths[1]] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(types);
    out.extend(strings);
    out
}

/// Makes a fixture of a kernel's BTF; tests/fixtures/btf/README.md says how to run it.
#[test]
#[ignore = "a tool: needs KATRACE_BTF_FROM and KATRACE_BTF_TO"]
fn cut_a_fixture() {
    let path = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("set {name}"));
    let whole = fs::read(path("KATRACE_BTF_FROM")).unwrap();
    let cut = cut(whole, super::super::layout::WANTED);
    fs::write(path("KATRACE_BTF_TO"), cut).unwrap();
}

/// The cut keeps what is asked of the whole.
#[test]
fn what_is_cut_answers_as_the_whole_does() {
    use super::super::layout::{KernelTypes, WANTED};
    let whole = Btf::of_this_kernel(WANTED).unwrap().data.to_vec();
    let small = cut(whole.clone(), WANTED);
    assert!(small.len() * 10 < whole.len(), "{} bytes", small.len());
    let (whole, small) = (
        KernelTypes::from_bytes(&whole).unwrap(),
        KernelTypes::from_bytes(&small).unwrap(),
    );
    assert_eq!(whole.layout, small.layout);
    assert_eq!(whole.sock_dead, small.sock_dead);
    assert_eq!(whole.accept_args, small.accept_args);
    assert_eq!(whole.no_iterator, small.no_iterator);
    let names =
        |types: &KernelTypes| -> Vec<_> { types.functions.iter().map(|(name, _)| *name).collect() };
    assert_eq!(names(&whole), names(&small));
}
