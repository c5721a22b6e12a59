//! The command as it is used: files on a disk in, a report and an exit code out.

#[cfg(test)]
#[path = "support/folder.rs"]
mod folder;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use folder::{Folder, audit_line, etcd_put_line, gzip, kubelet_line, unasked_line, watch_line, zstd};
use serde_json::Value;

#[test]
fn a_wrong_command_line_is_said_and_ends_with_2() {
    for arguments in
        [&["scan"][..], &["scan", "no/such/folder"], &["scan", "--format", "pdf", "."], &["nothing"]]
    {
        let run = Folder::new().run(arguments);
        assert_eq!(run.code, 2, "{arguments:?}");
        assert!(run.report.is_empty(), "{arguments:?}");
        assert!(!run.said.is_empty(), "{arguments:?}");
    }
    let run = Folder::new().run(&["scan", "no/such/folder"]);
    assert!(run.said.contains("no/such/folder does not exist"), "{}", run.said);
}

#[test]
fn an_empty_folder_is_no_report() {
    let run = Folder::new().run(&["scan", "."]);
    assert_eq!(run.code, 2);
    assert!(run.said.contains("no log of a known format"), "{}", run.said);
}

#[test]
fn feeds_are_found_and_what_is_not_one_is_named() {
    let folder = Folder::new();
    folder.write("node-7/kubelet.log", kubelet_line(1));
    folder.write("audit/audit.log", audit_line(1));
    folder.write("etcd-watch.jsonl", watch_line(1));
    folder.write("README.txt", "how these logs were taken\n");
    folder
        .write("audit-policy.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n");
    let run = folder.run(&["scan", ".", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.said);
    let report = run.json();
    let feeds: Vec<&str> =
        report["coverage"].as_array().unwrap().iter().map(|feed| feed["kind"].as_str().unwrap()).collect();
    assert_eq!(feeds, ["audit", "etcd", "kubelet"]);
    assert_eq!(report["coverage"][2]["instance"], "node-7");
    for part in ["README.txt", "policy    audit-policy.yaml", "missing   runtime log"] {
        assert!(run.said.contains(part), "{part} is not in:\n{}", run.said);
    }
}

#[test]
fn compressed_and_rotated_files_give_the_report_of_the_plain_one() {
    let lines: Vec<String> = (0..300).map(audit_line).collect();
    let watch: String = (0..300).map(watch_line).collect();
    let report = |write: &dyn Fn(&Folder)| {
        let folder = Folder::new();
        folder.write("etcd-watch.jsonl", &watch);
        write(&folder);
        let run = folder.run(&["scan", ".", "--format", "json"]);
        assert_eq!(run.code, 0, "{}", run.said);
        let report = run.json();
        (
            report["totals"].clone(),
            report["coverage"][0]["records"].clone(),
            report["gaps"].as_array().unwrap().len(),
        )
    };
    let plain = report(&|folder| folder.write("audit.log", lines.concat()));
    assert_eq!(plain.1, 300);
    let compressed = report(&|folder| folder.write("audit.log.gz", gzip(lines.concat().as_bytes())));
    let zstd = report(&|folder| folder.write("audit.log.zst", zstd(lines.concat().as_bytes())));
    let rotated = report(&|folder| {
        folder.write("audit-2026-03-31T10-00-00.000.log.gz", gzip(lines[..100].concat().as_bytes()));
        folder.write("audit.log.1", lines[100..200].concat());
        folder.write("audit.log", lines[200..].concat());
    });
    assert_eq!(plain, compressed);
    assert_eq!(plain, zstd);
    assert_eq!(plain, rotated);
}

#[test]
fn the_report_does_not_depend_on_the_number_of_threads() {
    let folder = Folder::new();
    folder.write("audit.log", (0..20_000).map(audit_line).collect::<String>());
    folder.write("etcd-watch.jsonl", (0..5_000).map(|number| watch_line(number * 3)).collect::<String>());
    let reports = ["1", "2", "9"]
        .map(|threads| folder.run(&["scan", ".", "--format", "json", "--threads", threads]).report);
    assert!(reports[0].len() > 1000);
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
}

#[test]
fn a_cut_archive_is_judged_as_far_as_it_goes() {
    let folder = Folder::new();
    let whole = gzip((0..4_000).map(audit_line).collect::<String>().as_bytes());
    folder.write("audit.log.gz", &whole[..whole.len() / 2]);
    let run = folder.run(&["scan", ".", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.said);
    let feed = &run.json()["coverage"][0];
    assert!(feed["records"].as_u64().unwrap() > 100);
    let notes = feed["notes"].to_string();
    assert!(notes.contains("audit.log.gz: the compressed file is cut short; read up to byte"), "{notes}");
}

#[test]
fn damaged_lines_are_kept_with_their_place_and_the_rest_is_read() {
    let folder = Folder::new();
    let mut log = audit_line(1).into_bytes();
    log.extend(b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\n");
    log.extend([0; 300]);
    log.push(b'\n');
    log.extend(b"\xff\xfe\xfd\n");
    log.extend(audit_line(2).bytes());
    folder.write("audit.log", log);
    let run = folder.run(&["scan", ".", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.said);
    let feed = &run.json()["coverage"][0];
    assert_eq!(feed["records"], 2);
    assert_eq!(feed["rejects"][0]["file"], "audit.log");
    assert_eq!(feed["rejects"][0]["line"], 2);
    assert!(feed["rejected"].as_u64().unwrap() >= 1);
}

#[test]
fn a_line_beyond_all_bounds_is_let_go_and_the_next_is_read() {
    let folder = Folder::new();
    folder.write("audit.log", audit_line(1) + &"x".repeat(17 << 20) + "\n" + &audit_line(2));
    let run = folder.run(&["scan", ".", "--format", "json"]);
    assert_eq!(run.code, 0, "{}", run.said);
    let feed = &run.json()["coverage"][0];
    assert_eq!((&feed["records"], &feed["rejected"]), (&Value::from(2), &Value::from(1)));
    let reject = &feed["rejects"][0];
    assert_eq!(reject["line"], 2);
    assert!(reject["reason"].as_str().unwrap().contains("longer than"), "{reject}");
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_judged() {
    let folder = Folder::new();
    folder.write("audit.log", audit_line(1));
    folder.write("secret.log", "x");
    std::os::unix::fs::symlink("/dev/null", folder.path("link.log")).unwrap();
    fs::set_permissions(folder.path("secret.log"), fs::Permissions::from_mode(0o000)).unwrap();
    let run = folder.run(&["scan", "."]);
    assert_eq!(run.code, 0, "{}", run.said);
    assert!(run.said.contains("link.log: a link"), "{}", run.said);
    // Root reads what it likes.
    if fs::read(folder.path("secret.log")).is_err() {
        assert!(run.said.contains("secret.log: permission denied"), "{}", run.said);
    }
}

#[test]
fn what_is_named_must_be_what_it_is_said_to_be() {
    let folder = Folder::new();
    folder.write("audit.log", audit_line(1));
    folder.write("notes.txt", "nothing\n");
    let run = folder.run(&["scan", "--etcd", "audit.log"]);
    assert_eq!(run.code, 2);
    assert!(
        run.said.contains("audit.log was given as --etcd, but it is audit.k8s.io/v1 JSON"),
        "{}",
        run.said
    );
    let run = folder.run(&["scan", "--audit", "notes.txt"]);
    assert_eq!(run.code, 2);
    assert!(
        run.said.contains("notes.txt was given as --audit, but it is no log of a known format"),
        "{}",
        run.said
    );
    let run = folder.run(&["scan", "--audit", "api-1=audit.log", "--format", "json"]);
    assert_eq!(run.json()["coverage"][0]["instance"], "api-1");
}

#[test]
fn the_exit_code_tells_of_gaps_when_asked() {
    let folder = Folder::new();
    folder.write("audit.log", (0..50).map(audit_line).collect::<String>());
    // The watch shows a write that no request accounts for.
    let watch: String = (0..50)
        .map(|number| watch_line(number) + &if number == 25 { unasked_line(25) } else { String::new() })
        .collect();
    folder.write("etcd-watch.jsonl", watch);
    let gaps = |run: &Value| run["gaps"].as_array().unwrap().len();
    assert_eq!(gaps(&folder.run(&["scan", ".", "--format", "json"]).json()), 1);
    for (arguments, code) in [
        (&["scan", "."][..], 0),
        (&["scan", ".", "--fail-on", "gap"], 1),
        (&["scan", ".", "--fail-on", "info"], 1),
        (&["scan", ".", "--fail-on", "critical"], 0),
    ] {
        assert_eq!(folder.run(arguments).code, code, "{arguments:?}");
    }
}

#[test]
fn an_exception_covers_what_it_names_and_only_until_it_expires() {
    let folder = Folder::new();
    folder.write("etcd.log", etcd_put_line(1, "c2VjcmV0"));
    let run = |expires: &str, condition: &str| {
        let text = format!("[[exception]]\nowner='sre'\nreason='drill'\nexpires='{expires}'\n{condition}\n");
        folder.write("accepted.toml", text);
        folder.run(&[
            "scan",
            "etcd.log",
            "--format",
            "json",
            "--fail-on",
            "gap",
            "--exceptions",
            "accepted.toml",
        ])
    };
    let covered = run("2250-12-31", "rule='etcd-write'");
    assert_eq!(covered.code, 0, "{}", covered.said);
    let gap = &covered.json()["gaps"][0];
    assert_eq!((gap["rule"].as_str(), gap["exception"]["owner"].as_str()), (Some("etcd-write"), Some("sre")));
    assert_eq!(run("2000-01-01", "rule='etcd-write'").code, 1, "it has expired");
    assert_eq!(run("2250-12-31", "rule='etcd-read'").code, 1, "it is about another rule");
    let misspelled = run("2250-12-31", "roule='etcd-write'");
    assert_eq!(misspelled.code, 2);
    assert!(misspelled.said.contains("roule"), "{}", misspelled.said);
}

#[test]
fn a_report_in_a_file_is_whole() {
    let folder = Folder::new();
    folder.write("logs/audit.log", audit_line(1));
    let run = folder.run(&["scan", "logs", "--format", "html", "--output", "report.html"]);
    assert_eq!(run.code, 0, "{}", run.said);
    assert!(run.report.is_empty());
    let page = fs::read_to_string(folder.path("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    let left: Vec<_> =
        fs::read_dir(folder.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn secrets_do_not_reach_the_report() {
    let folder = Folder::new();
    folder.write("audit.log", (0..20).map(audit_line).collect::<String>());
    folder.write("etcd.log", etcd_put_line(5, "correct-horse-battery"));
    for format in ["json", "html", "text", "csv", "ndjson"] {
        let run = folder.run(&["scan", ".", "--format", format]);
        assert!(run.report.contains("/registry/secrets/team-a/stolen"), "{format}: {}", run.report);
        assert!(!run.report.contains("correct-horse"), "{format}: {}", run.report);
    }
    let report = folder.run(&["scan", ".", "--format", "json"]).report;
    assert!(report.contains("[redacted: etcd value, 21 bytes]"), "{report}");
    let run = folder.run(&["explain", "team-a/stolen", "."]);
    let told = "KV/Put from 10.3.0.9:51822: write /registry/secrets/team-a/stolen";
    assert!(run.report.contains(told) && !run.report.contains("correct-horse"), "{}", run.report);
}

#[test]
fn raw_lines_are_those_of_the_file_compressed_or_not() {
    let watch: String = (0..50)
        .map(|number| watch_line(number) + &if number == 25 { unasked_line(25) } else { String::new() })
        .collect();
    for (name, content) in [
        ("watch.jsonl", watch.clone().into_bytes()),
        ("watch.jsonl.gz", gzip(watch.as_bytes())),
        ("watch.zst", zstd(watch.as_bytes())),
    ] {
        let folder = Folder::new();
        folder.write("audit.log", (0..50).map(audit_line).collect::<String>());
        folder.write(name, content);
        let report = folder.run(&["scan", ".", "--format", "json"]).json();
        let evidence = &report["gaps"][0]["evidence"][0];
        assert_eq!(evidence["raw"], unasked_line(25).trim_end(), "{name}");
        assert_eq!((&evidence["file"], &evidence["line"]), (&Value::from(name), &Value::from(27)), "{name}");
    }
}

#[test]
fn the_life_of_an_object_is_told() {
    let folder = Folder::new();
    folder.write("audit.log", (0..20).map(audit_line).collect::<String>());
    folder.write("etcd-watch.jsonl", (0..20).map(watch_line).collect::<String>());
    let run = folder.run(&["explain", "team-a/object-7", "."]);
    assert_eq!(run.code, 0, "{}", run.said);
    assert!(run.report.starts_with("team-a/object-7: 2 records, no gap"), "{}", run.report);
    assert!(
        run.report.contains("/registry/configmaps/team-a/object-7 created at revision 1014"),
        "{}",
        run.report
    );
    assert!(run.report.contains("EXPLAINED by"), "{}", run.report);
    let run = folder.run(&["explain", "team-a/object-700", "."]);
    assert_eq!(run.code, 1);
    assert!(run.report.contains("No record"), "{}", run.report);
}
