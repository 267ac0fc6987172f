//! `katrace audit`: its command line, its refusals, and what it prints.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states its expectations by panicking"
)]

mod common;

use std::{fs, process::Command};

use katrace::{
    audit::{AuditRequest, AuditSettings, Evidence, Example, Finding, Rule, Severity, Verdict},
    cli::{self, Request, UsageError},
    event::Process,
    settings::Format,
    sinks::{Buffers, Screen, audit as sink},
};

fn parse(line: &str) -> Result<AuditRequest, UsageError> {
    let words = ["katrace", "audit"].into_iter();
    match cli::parse(words.chain(line.split_whitespace()))? {
        Request::Audit(request) => Ok(*request),
        other => panic!("{line}: {other:?}"),
    }
}

fn settings(line: &str) -> AuditSettings {
    match parse(line) {
        Ok(AuditRequest::Judge(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    }
}

fn katrace(args: &[&str]) -> (Option<i32>, String, String) {
    common::katrace(&[&["audit"], args].concat())
}

#[test]
fn help_reads_as_kept() {
    let mut command = cli::command();
    // The width is set on the root command, and `build` passes it on to the subcommands.
    command = command.term_width(100);
    command.build();
    let audit = command.find_subcommand_mut("audit").unwrap();
    let help = audit.render_help().to_string();
    assert!(
        help.lines().all(|line| line.chars().count() <= 100),
        "{help}"
    );
    common::golden("help-audit.txt", &help);
}

#[test]
fn bare_audit_applies_every_rule_and_fails_on_any_finding() {
    let bare = settings("");
    assert_eq!(bare.output, Format::Table);
    assert_eq!(bare.rules, Rule::ALL);
    assert_eq!(bare.fail_on, Severity::Info);
    assert_eq!(bare.yardstick.idle_ms, 300_000);
    assert!(bare.yardstick.wanted.hops.is_empty());
    assert_eq!(bare.yardstick.wanted.detect_within_ms, None);
    assert_eq!(bare.target.to_string(), "60 + 3 × 10 = 90 s");
}

#[test]
fn every_flag_is_understood() {
    let all = settings(
        "--json --path aws-nlb,300s --path conntrack --detect-within 30s --idle 90s \
         --ignore noisy,l7-hop --ignore dying-now --fail-on critical -D 5432 -4",
    );
    assert_eq!(all.output, Format::Json);
    let hops = &all.yardstick.wanted.hops;
    let names: Vec<&str> = hops.iter().map(|hop| hop.name.as_str()).collect();
    assert_eq!(names, ["aws-nlb", "300s", "conntrack"]);
    assert_eq!(hops[1].timeout_ms, 300_000);
    assert_eq!(all.yardstick.wanted.detect_within_ms, Some(30_000));
    assert_eq!(all.yardstick.idle_ms, 90_000);
    assert_eq!(all.rules.len(), Rule::ALL.len() - 3);
    assert!(!all.rules.contains(&Rule::Noisy) && !all.rules.contains(&Rule::DyingNow));
    assert_eq!(all.fail_on, Severity::Critical);
    assert_eq!(all.snapshot.filters.rports, [5432..=5432]);
    assert_eq!(all.target.to_string(), "21 + 3 × 3 = 30 s");
}

#[test]
fn every_refusal_is_one_line_that_names_it() {
    let lines = [
        "--path aws-nbl",
        "--path 300",
        "--path 2s",
        "--paths /no/such/file.toml",
        "--detect-within 90",
        "--detect-within 1s",
        "--idle soon",
        "--ignore nosy",
        "--fail-on error",
        "--plan",
        "--plan --path aws-alb",
        "--plan --detect-within 1500ms",
        "--plan --detect-within 90s -o csv",
        "--plan --rules",
        "--plan --detect-within 90s -p 1",
        "--list-paths -N self",
        "--rules --reader diag",
        "-o xml",
        "-L 0",
    ];
    let mut report = String::new();
    for line in lines {
        let refusal = parse(line).unwrap_err().to_string();
        report += &format!("$ katrace audit {line}\nkatrace: {refusal}\n");
    }
    common::golden("refusals-audit.txt", &report);
}

#[test]
fn a_file_of_profiles_is_used_or_refused_with_its_line() {
    let path = std::env::temp_dir().join(format!("katrace-paths-{}.toml", std::process::id()));
    let file = path.to_str().unwrap();
    fs::write(&path, "[[path]]\nname = \"office\"\nidle_timeout_s = 30\n").unwrap();
    let own = settings(&format!("--paths {file} --path office"));
    assert_eq!(own.yardstick.wanted.hops[0].timeout_ms, 30_000);
    fs::write(
        &path,
        "[[path]]\nname = \"office\"\nidle_timeout_s = \"\u{1b}[31m\"\n",
    )
    .unwrap();
    let refusal = parse(&format!("--paths {file}")).unwrap_err().to_string();
    fs::remove_file(&path).unwrap();
    assert!(
        refusal.starts_with(&format!("--paths {file}, line 3: ")),
        "{refusal}"
    );
    assert!(!refusal.contains(|c: char| c.is_control()), "{refusal:?}");
}

#[test]
fn a_plan_reads_as_kept() {
    let (code, out, err) = katrace(&[
        "--plan",
        "--detect-within",
        "90s",
        "--path",
        "aws-nlb,aws-alb",
    ]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    common::golden("plan.txt", &out);

    let (code, out, _) = katrace(&["--plan", "--path", "aws-nlb", "-o", "json"]);
    assert_eq!(code, Some(0));
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(plan["arithmetic"], "250 + 3 × 30 = 340 s");
    assert_eq!(plan["keepidle_ms"], 250_000);
    assert_eq!(plan["user_timeout_ms"], 340_000);
    assert_eq!(plan["path"][0]["timeout_ms"], 350_000);
    let spellings: Vec<&str> = plan["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["for"].as_str().unwrap())
        .collect();
    for due in [
        "sysctl",
        "c",
        "python",
        "go",
        "rust",
        "java",
        "postgresql",
        "libpq",
        "mysql",
        "redis",
        "pgjdbc",
        "grpc",
        "node",
        "nginx-server",
        "haproxy-upstream",
        "envoy",
        "sshd",
    ] {
        assert!(spellings.contains(&due), "{due} in {spellings:?}");
    }
}

#[test]
fn lists_are_complete_in_every_format() {
    for (flag, header, first) in [
        ("--rules", "rule,severity,worst,about", "dying-now"),
        (
            "--list-paths",
            "name,hop,idle_timeout_ms,probe_resets,range,live,source,date",
            "aws-nlb",
        ),
    ] {
        let (code, table, err) = katrace(&[flag]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(table.contains(first), "{table}");
        assert!(
            table.lines().all(|line| line.chars().count() < 100),
            "{table}"
        );
        let (_, json, _) = katrace(&[flag, "--json"]);
        let (_, text, _) = katrace(&[flag, "-o", "csv"]);
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(text.lines().next(), Some(header));
        assert_eq!(
            rows.records().map(Result::unwrap).count(),
            json.lines().count()
        );
    }
}

fn verdict() -> Verdict {
    let process = Process {
        pid: 4242,
        comm: "db\x1b[31m,pool".into(),
        details: None,
    };
    let example = |port: u16, process: Option<Process>| Example {
        local: ([10, 0, 0, 1], port).into(),
        remote: ([10, 0, 0, 2], 5432).into(),
        netns: 4_026_531_840,
        process,
    };
    Verdict {
        findings: vec![
            Finding {
                rule: Rule::NoKeepalive,
                severity: Severity::Critical,
                pid: Some(4242),
                comm: Some(process.comm.to_string()),
                sockets: 400,
                evidence: Evidence::default()
                    .with("silence_max_ms", 3_600_000)
                    .with("path_timeout_ms", 350_000),
                why: "The peer was last heard 60 min ago, aws-nlb forgets after 350 s, and nothing will \
                      ever tell the process."
                    .to_owned(),
                fix: vec![
                    "setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1)".to_owned(),
                    "say \"it\", twice".to_owned(),
                ],
                examples: vec![example(40_000, Some(process.clone())), example(40_001, Some(process))],
            },
            Finding {
                rule: Rule::Noisy,
                severity: Severity::Info,
                pid: None,
                comm: None,
                sockets: 1,
                evidence: Evidence::default()
                    .with("detect_idle_ms", None)
                    .with_rate("probes_per_second", 66.666),
                why: "It is loud.".to_owned(),
                fix: vec!["be quiet".to_owned()],
                examples: vec![Example {
                    remote: ([0, 0, 0, 0], 0).into(),
                    ..example(80, None)
                }],
            },
        ],
        sockets: 812,
        unknown: 3,
        missing: vec!["conntrack in network namespace 1: no".to_owned()],
    }
}

fn printed(format: Format, screen: &Screen) -> (String, String) {
    let mut to = Buffers::default();
    sink::findings(format, screen, &verdict(), &mut to).unwrap();
    (
        String::from_utf8(to.out).unwrap(),
        String::from_utf8(to.err).unwrap(),
    )
}

#[test]
fn findings_read_as_kept() {
    let (table, said) = printed(Format::Table, &Screen::plain());
    common::golden("findings.txt", &table);
    common::golden("findings.stderr.txt", &said);
    assert!(table.lines().all(|line| line.chars().count() < 100));
    let colourful = Screen {
        colour: true,
        ..Screen::plain()
    };
    let (colourful, _) = printed(Format::Table, &colourful);
    assert!(
        colourful.contains("\x1b[1m\x1b[31mCRITICAL\x1b[0m"),
        "{colourful:?}"
    );
    assert!(!table.contains('\x1b'));
}

#[test]
fn findings_are_the_same_in_json_and_csv() {
    let (json, _) = printed(Format::Json, &Screen::plain());
    common::golden("findings.jsonl", &json);
    let (csv, _) = printed(Format::Csv, &Screen::plain());
    common::golden("findings.csv", &csv);
    let objects: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    for (row, object) in rows.records().map(Result::unwrap).zip(&objects) {
        assert_eq!(&row[0], object["rule"].as_str().unwrap());
        assert_eq!(row[4], object["sockets"].to_string());
        assert_eq!(&row[6], object["why"].as_str().unwrap());
    }
    let (pretty, _) = printed(Format::JsonPretty, &Screen::plain());
    let pretty: Vec<serde_json::Value> = serde_json::Deserializer::from_str(&pretty)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(pretty, objects);
}

#[test]
fn the_document_explains_every_field() {
    let document = include_str!("../../docs/audit.md");
    let (json, _) = printed(Format::Json, &Screen::plain());
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    for key in first.as_object().unwrap().keys() {
        assert!(document.contains(&format!("`{key}`")), "{key}");
    }
    for key in first["examples"][0].as_object().unwrap().keys() {
        assert!(document.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn a_list_into_a_closed_pipe_is_no_fault() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_katrace"))
        .args(["audit", "--rules"])
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
