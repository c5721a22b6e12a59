//! A recording on disk, judged in several orders of arrival: the report may not differ by a byte.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use auditgap_ingest::{Expander, Limits, detect, inventory};
use auditgap_records::Timestamp;
use auditgap_records::inventory::Inventory;

use crate::front_door::{Arrival, ReadLog, Reading, read_log};
use crate::random::Random;

/// Judges a folder of logs in several orders of arrival. Says how many records there are, or where reports differ.
pub fn order(folder: &Path) -> io::Result<String> {
    let reading = read(folder)?;
    let report = |arrival| {
        let report = reading.judge(arrival).map_err(io::Error::other)?;
        serde_json::to_string_pretty(&report).map_err(io::Error::other)
    };
    let expected = report(Arrival::AtOnce)?;
    let arrivals = [Arrival::Shuffled(1), Arrival::Shuffled(2), Arrival::Twice(3), Arrival::Streamed];
    for arrival in arrivals {
        let found = report(arrival)?;
        if found != expected {
            let line = expected.lines().zip(found.lines()).position(|(left, right)| left != right);
            return Err(io::Error::other(format!("{arrival:?} gives another report, from line {line:?} on")));
        }
    }
    let records: usize = reading.logs.iter().map(|log| log.batch.records.len()).sum();
    Ok(format!(
        "{records} records of {} logs: one report in {} orders",
        reading.logs.len(),
        arrivals.len() + 1
    ))
}

fn read(folder: &Path) -> io::Result<Reading> {
    let mut paths = Vec::new();
    list(folder, &mut paths)?;
    let mut random = Random::new(0);
    let mut logs: Vec<ReadLog> = Vec::new();
    let mut files = Vec::new();
    let mut inventory = Inventory::default();
    let mut policy = None;
    // Logs without a year are of the time that the others tell.
    let mut near = Timestamp::MIN;
    let mut undated = Vec::new();
    for path in paths {
        let bytes = fs::read(&path)?;
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let head = &bytes[..bytes.len().min(auditgap_ingest::HEAD)];
        let Ok(detection) = detect(head, &name) else {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if text.contains("kind: Policy") {
                policy = Some(text);
            } else {
                inventory.snapshots.extend(inventory::recognise(&bytes, &name));
            }
            continue;
        };
        let mut text = Vec::new();
        Expander::new(detection.compression, bytes.as_slice(), Limits::default())?.read_to_end(&mut text)?;
        undated.push((name, detection, text));
    }
    for _ in 0..2 {
        logs.clear();
        files.clear();
        for (name, detection, text) in &undated {
            if let Some(log) = read_log(detection, name, text, files.len() as u32, near, &mut random) {
                logs.push(log);
                files.push(name.clone());
            }
        }
        let dated = logs.iter().filter(|log| !log.feed.format.contains("klog"));
        near =
            dated.filter_map(|log| log.batch.records.first()).map(|record| record.time).min().unwrap_or(near);
    }
    Ok(Reading { logs, files, policy, inventory })
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
