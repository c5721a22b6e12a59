//! System calls by number, and what they do to the files that their PATH records name.

/// The call's name for a number; `None` for calls of no interest or another machine.
pub(super) fn name_of(arch: &str, number: u32) -> Option<&'static str> {
    match arch {
        "c000003e" | "x86_64" => x86_64(number),
        // The generic table is shared by the machines that came late.
        "c00000b7" | "aarch64" | "c00000f3" | "riscv64" | "c0000102" | "loongarch64" => generic(number),
        _ => None,
    }
}

fn x86_64(number: u32) -> Option<&'static str> {
    Some(match number {
        2 => "open",
        42 => "connect",
        49 => "bind",
        59 => "execve",
        76 => "truncate",
        77 => "ftruncate",
        82 => "rename",
        83 => "mkdir",
        84 => "rmdir",
        85 => "creat",
        86 => "link",
        87 => "unlink",
        88 => "symlink",
        90 => "chmod",
        91 => "fchmod",
        92 => "chown",
        93 => "fchown",
        94 => "lchown",
        132 => "utime",
        133 => "mknod",
        188 => "setxattr",
        189 => "lsetxattr",
        190 => "fsetxattr",
        197 => "removexattr",
        198 => "lremovexattr",
        199 => "fremovexattr",
        235 => "utimes",
        257 => "openat",
        258 => "mkdirat",
        259 => "mknodat",
        260 => "fchownat",
        261 => "futimesat",
        263 => "unlinkat",
        264 => "renameat",
        265 => "linkat",
        266 => "symlinkat",
        268 => "fchmodat",
        280 => "utimensat",
        285 => "fallocate",
        316 => "renameat2",
        322 => "execveat",
        437 => "openat2",
        452 => "fchmodat2",
        _ => return None,
    })
}

fn generic(number: u32) -> Option<&'static str> {
    Some(match number {
        5 => "setxattr",
        6 => "lsetxattr",
        7 => "fsetxattr",
        14 => "removexattr",
        15 => "lremovexattr",
        16 => "fremovexattr",
        33 => "mknodat",
        34 => "mkdirat",
        35 => "unlinkat",
        36 => "symlinkat",
        37 => "linkat",
        38 => "renameat",
        45 => "truncate",
        46 => "ftruncate",
        47 => "fallocate",
        52 => "fchmod",
        53 => "fchmodat",
        54 => "fchownat",
        55 => "fchown",
        56 => "openat",
        88 => "utimensat",
        200 => "bind",
        203 => "connect",
        221 => "execve",
        276 => "renameat2",
        281 => "execveat",
        437 => "openat2",
        452 => "fchmodat2",
        _ => return None,
    })
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Call {
    /// Opens a file; the argument that holds the flags, if it is one.
    Open(Option<usize>),
    /// Creates, whatever the flags.
    Create,
    /// Changes content.
    Write,
    /// Moves, links or removes names.
    Names,
    /// Changes attributes.
    Attributes,
    /// Starts a program.
    Exec,
    /// Connects to a socket.
    Connect,
    /// Makes a socket.
    Bind,
    /// Looks only, or is not known.
    Other,
}

impl Call {
    pub(in crate::format) fn of(name: &str) -> Self {
        match name {
            "open" => Self::Open(Some(1)),
            "openat" | "open_by_handle_at" => Self::Open(Some(2)),
            "openat2" => Self::Open(None),
            "creat" => Self::Create,
            "truncate" | "ftruncate" | "fallocate" => Self::Write,
            "rename" | "renameat" | "renameat2" | "unlink" | "unlinkat" | "rmdir" | "mkdir" | "mkdirat"
            | "mknod" | "mknodat" | "link" | "linkat" | "symlink" | "symlinkat" => Self::Names,
            "execve" | "execveat" => Self::Exec,
            "connect" => Self::Connect,
            "bind" => Self::Bind,
            _ if ["chmod", "chown", "fchmod", "fchown", "lchown", "utime", "futimes"]
                .iter()
                .any(|begin| name.starts_with(begin))
                || name.ends_with("setxattr")
                || name.ends_with("removexattr") =>
            {
                Self::Attributes
            }
            _ => Self::Other,
        }
    }
}

/// Which argument holds the directory that a relative path begins at; `None` for the working directory.
/// `created`: the path is the one that the call made, the second of a rename or link.
pub(super) fn directory_argument(name: &str, created: bool) -> Option<usize> {
    match name {
        "renameat" | "renameat2" | "linkat" if created => Some(2),
        "symlinkat" => Some(1),
        "openat" | "openat2" | "mkdirat" | "mknodat" | "unlinkat" | "renameat" | "renameat2" | "linkat"
        | "fchmodat" | "fchmodat2" | "fchownat" | "futimesat" | "utimensat" => Some(0),
        _ => None,
    }
}

/// Whether an argument is `AT_FDCWD` (-100), as 32 or 64 bits.
pub(super) fn is_working_directory(argument: u64) -> bool {
    argument & 0xffff_ffff == 0xffff_ff9c
}

/// Whether flags of `open` allow to write. The values are the same on all machines of the tables above.
pub(in crate::format) fn opens_for_writing(flags: u64) -> bool {
    const ACCESS_MODE: u64 = 0o3;
    const TRUNCATE: u64 = 0o1000;
    flags & ACCESS_MODE != 0 || flags & TRUNCATE != 0
}
