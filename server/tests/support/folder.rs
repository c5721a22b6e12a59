//! Folders of small logs, and runs of the real command on them.

use auditgap_records::Timestamp;

/// A folder of input that is gone with the test.
pub(crate) struct Folder(tempfile::TempDir);

/// What a run of the command gave.
pub(crate) struct Run {
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) report: String,
    /// Standard error.
    pub(crate) said: String,
}

impl Run {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.report)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.report, self.said))
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs the command in this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_auditgap"));
        let output = command.args(arguments).current_dir(self.0.path()).env_clear().output().unwrap();
        Run {
            code: output.status.code().unwrap(),
            report: String::from_utf8(output.stdout).unwrap(),
            said: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn moment(number: u32) -> String {
    let (minute, second) = (number / 600 % 60, number / 10 % 60);
    format!("2026-03-31T{:02}:{minute:02}:{second:02}.{}", 10 + number / 36_000, number % 10)
}

/// The revision that the creation of a numbered ConfigMap makes: every second one.
pub(crate) fn revision(number: u32) -> u32 {
    1_000 + 2 * number
}

/// The audit record of the creation of a ConfigMap.
pub(crate) fn audit_line(number: u32) -> String {
    let (time, revision) = (moment(number), revision(number));
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"00000000-0000-4000-8000-{number:012}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/team-a/configmaps","verb":"create","user":{{"username":"ops","groups":["system:authenticated"]}},"sourceIPs":["10.0.0.9"],"userAgent":"kubectl","objectRef":{{"resource":"configmaps","namespace":"team-a","name":"object-{number}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":201}},"responseObject":{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"object-{number}","namespace":"team-a","resourceVersion":"{revision}"}}}},"requestReceivedTimestamp":"{time}00000Z","stageTimestamp":"{time}05000Z"}}
"#
    )
}

/// The same creation as a watch on etcd sees it.
pub(crate) fn watch_line(number: u32) -> String {
    let revision = revision(number);
    let time = Timestamp::parse(&format!("{}03000Z", moment(number))).unwrap();
    let seconds = time.0 as f64 / 1e9;
    format!(
        r#"{{"t_recv": {seconds:.6}, "type": "PUT", "key": "/registry/configmaps/team-a/object-{number}", "create_revision": {revision}, "mod_revision": {revision}, "version": 1, "lease": null, "value_len": 66, "value_sha256": "00", "first_uuid": null, "enc": "k8s\u0000"}}
"#
    )
}

/// A creation right behind the numbered one, which no request accounts for.
pub(crate) fn unasked_line(number: u32) -> String {
    let (revision, unasked) = (revision(number).to_string(), (revision(number) + 1).to_string());
    watch_line(number).replace(&format!("object-{number}"), "unasked").replace(&revision, &unasked)
}

/// A bare write as etcd 3.4 logs it at debug level, its value in clear.
pub(crate) fn etcd_put_line(number: u32, value: &str) -> String {
    let time = moment(number);
    format!(
        r#"{{"level":"debug","ts":"{time}03000Z","caller":"v3rpc/interceptor.go:181","msg":"request stats","start time":"{time}02000Z","time spent":"1ms","remote":"10.3.0.9:51822","response type":"/etcdserverpb.KV/Put","request count":1,"request size":100,"response count":0,"response size":28,"request content":"key:\"/registry/secrets/team-a/stolen\" value:\"{value}\" "}}
"#
    )
}

/// A line of a kubelet's log.
pub(crate) fn kubelet_line(number: u32) -> String {
    format!(
        "I0331 10:00:{:02}.000000    1203 kubelet.go:2724] \"SyncLoop ADD\" source=\"api\" pods=[\"team-a/web\"]\n",
        number % 60
    )
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 3).unwrap()
}
