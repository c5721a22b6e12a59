//! Gaps that belong to one story.
//!
//! Gaps are joined when they share a thread (a Pod, a container, a key's object, a user) and follow each other
//! closely. What joins is content and event time, so that the grouping does not depend on arrival.

use std::collections::BTreeMap;
use std::time::Duration;

use auditgap_records::Timestamp;
use auditgap_records::report::{Gap, Incident, Severity};

/// Gaps further apart than this tell different stories, whatever they share.
const STORY_PAUSE: Duration = Duration::from_secs(30 * 60);

/// Groups gaps by their threads and writes the incident's id into each. `threads[i]` belongs to `gaps[i]`.
pub(crate) fn group(gaps: &mut [Gap], threads: &[Vec<String>]) -> Vec<Incident> {
    let mut parents: Vec<usize> = (0..gaps.len()).collect();
    let mut by_thread: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, threads) in threads.iter().enumerate() {
        for thread in threads {
            by_thread.entry(thread).or_default().push(index);
        }
    }
    for members in by_thread.values_mut() {
        members.sort_by_key(|index| (gaps[*index].first_seen, *index));
        let mut latest: Option<(usize, Timestamp)> = None;
        for &member in members.iter() {
            if let Some((previous, seen)) = latest
                && gaps[member].first_seen <= seen + STORY_PAUSE
            {
                join(&mut parents, previous, member);
            }
            let seen = latest.map_or(gaps[member].last_seen, |(_, seen)| seen.max(gaps[member].last_seen));
            latest = Some((member, seen));
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in 0..gaps.len() {
        let root = root(&mut parents, index);
        groups.entry(root).or_default().push(index);
    }
    let mut incidents: Vec<Incident> = groups.into_values().map(|members| incident(gaps, members)).collect();
    incidents.sort_by(|left, right| {
        (right.severity, left.first_seen, &left.id).cmp(&(left.severity, right.first_seen, &right.id))
    });
    incidents
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

fn join(parents: &mut [usize], left: usize, right: usize) {
    let (left, right) = (root(parents, left), root(parents, right));
    parents[left.max(right)] = left.min(right);
}

fn incident(gaps: &mut [Gap], mut members: Vec<usize>) -> Incident {
    members.sort_by(|left, right| {
        (gaps[*left].first_seen, &gaps[*left].id).cmp(&(gaps[*right].first_seen, &gaps[*right].id))
    });
    let first = &gaps[members[0]];
    let id = format!("inc-{}", first.id.trim_start_matches("gap-"));
    let first_seen = first.first_seen;
    let severity = members.iter().map(|index| gaps[*index].severity).max().unwrap_or(Severity::Info);
    let last_seen = members.iter().map(|index| gaps[*index].last_seen).max().unwrap_or(first_seen);
    // The gravest gap names the incident; of several the first.
    let gravest =
        members.iter().find(|index| gaps[**index].severity == severity).copied().unwrap_or(members[0]);
    let mut title = gaps[gravest].title.clone();
    if members.len() > 1 {
        title = format!("{title} (and {} more)", members.len() - 1);
    }
    let mut story: Vec<String> = Vec::new();
    for index in members.iter().take(6) {
        story.push(format!("{}: {}.", gaps[*index].first_seen, gaps[*index].title));
    }
    if members.len() > 6 {
        story.push(format!("And {} more, until {last_seen}.", members.len() - 6));
    }
    for index in &members {
        gaps[*index].incident.clone_from(&id);
    }
    Incident {
        id,
        title,
        severity,
        first_seen,
        last_seen,
        gaps: members.iter().map(|index| gaps[*index].id.clone()).collect(),
        story: story.join(" "),
    }
}
