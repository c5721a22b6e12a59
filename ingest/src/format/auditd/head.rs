//! The head of an audit record: its type and the stamp that its event's records share.

use memchr::memmem;

/// The longest text that is searched for the stamp. Before it stands at most a syslog header and a node's name.
const HEAD: usize = 512;

/// What the records of one event share. A serial restarts at boot, so it counts only with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey<'a> {
    /// `node=`, empty if not told.
    pub node: &'a [u8],
    /// Milliseconds since the Unix epoch.
    pub millis: i64,
    /// Serial number.
    pub serial: u64,
}

/// Record types that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Syscall,
    Path,
    Cwd,
    Execve,
    SockAddr,
    ProcTitle,
    OpenHow,
    EndOfEvent,
    ConfigChange,
    /// The daemon stops, dies or is reconfigured.
    DaemonChange,
    /// Written by a program, always a whole event in one record.
    UserSpace,
    /// Another record of the kernel that follows a SYSCALL.
    Follower,
    Other,
}

impl Kind {
    fn of(word: &[u8]) -> Self {
        match word {
            b"SYSCALL" | b"1300" => Self::Syscall,
            b"PATH" | b"1302" => Self::Path,
            b"CWD" | b"1307" => Self::Cwd,
            b"EXECVE" | b"1309" => Self::Execve,
            b"SOCKADDR" | b"1306" => Self::SockAddr,
            b"PROCTITLE" | b"1327" => Self::ProcTitle,
            b"OPENAT2" | b"1337" => Self::OpenHow,
            b"EOE" | b"1320" => Self::EndOfEvent,
            b"CONFIG_CHANGE" | b"1305" => Self::ConfigChange,
            b"DAEMON_END" | b"1201" | b"DAEMON_ABORT" | b"1202" | b"DAEMON_CONFIG" | b"1203"
            | b"DAEMON_ERR" | b"1209" => Self::DaemonChange,
            b"BPRM_FCAPS" | b"1321" | b"MMAP" | b"1323" | b"FD_PAIR" | b"1317" | b"SOCKETCALL" | b"1304"
            | b"IPC" | b"1303" | b"CAPSET" | b"1322" | b"OBJ_PID" | b"1318" => Self::Follower,
            _ if is_user_space(word) => Self::UserSpace,
            _ => Self::Other,
        }
    }

    /// Whether the type only occurs after another record of its event.
    pub(super) fn follows(self) -> bool {
        matches!(
            self,
            Self::Path
                | Self::Cwd
                | Self::Execve
                | Self::SockAddr
                | Self::ProcTitle
                | Self::OpenHow
                | Self::EndOfEvent
                | Self::Follower
        )
    }
}

/// The message ranges of user space: 1100–1299 and 2100–2999.
fn is_user_space(word: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 11] = [
        b"USER_",
        b"CRED_",
        b"DAEMON_",
        b"SERVICE_",
        b"SYSTEM_",
        b"ADD_",
        b"DEL_",
        b"GRP_",
        b"CRYPTO_",
        b"VIRT_",
        b"ACCT_",
    ];
    match number(word) {
        Some(number) => matches!(number, 1100..=1299 | 2100..=2999),
        None => PREFIXES.iter().any(|prefix| word.starts_with(prefix)),
    }
}

/// The head of one record and where its fields begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) kind: Kind,
    pub(super) key: EventKey<'a>,
    pub(super) body: usize,
}

impl<'a> Head<'a> {
    /// Reads `node=N type=T msg=audit(seconds.millis:serial): …` and its form in syslog, `audit: type=N audit(…): …`.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        let head = &line[..line.len().min(HEAD)];
        let stamp = memmem::find(head, b"audit(")?;
        let before = &head[..stamp];
        let kind = memmem::rfind(before, b"type=").map(|at| word(&before[at + 5..]))?;
        let node = memmem::find(before, b"node=").map_or(&b""[..], |at| word(&before[at + 5..]));
        let inner = &head[stamp + 6..];
        let close = inner.iter().position(|byte| *byte == b')')?;
        let colon = inner[..close].iter().position(|byte| *byte == b':')?;
        let key =
            EventKey { node, millis: millis(&inner[..colon])?, serial: number(&inner[colon + 1..close])? };
        let after = stamp + 6 + close + 1;
        let body = after + usize::from(line.get(after) == Some(&b':'));
        Some(Self { kind: Kind::of(kind), key, body })
    }
}

/// What the records of one event share; `None` for a line that is no audit record.
pub fn event_key(line: &[u8]) -> Option<EventKey<'_>> {
    Head::read(line).map(|head| head.key)
}

/// Whether no record of the same event follows this one.
pub fn ends_event(line: &[u8]) -> bool {
    Head::read(line).is_some_and(|head| {
        matches!(head.kind, Kind::ProcTitle | Kind::EndOfEvent | Kind::DaemonChange | Kind::UserSpace)
    })
}

fn word(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b' ').next().unwrap_or_default()
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn millis(stamp: &[u8]) -> Option<i64> {
    let point = stamp.iter().position(|byte| *byte == b'.')?;
    let (seconds, thousandths) = (number(&stamp[..point])?, number(&stamp[point + 1..])?);
    i64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(i64::try_from(thousandths.min(999)).ok()?)
}
