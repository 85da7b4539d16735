use super::*;

fn problems(text: &str) -> String {
    let error = Config::parse(Path::new("forebay.toml"), text).expect_err("the text has a problem");
    error.to_string()
}

fn load(sources: Sources) -> Config {
    sources_or_report(sources).unwrap_or_else(|error| panic!("{error}"))
}

fn sources_or_report(sources: Sources) -> Result<Config, ConfigError> {
    Config::load(&sources)
}

const MINIMAL: &str =
    "[kinesis.flow-logs]\nstream = \"flow\"\n[output.graylog]\naddress = [\"graylog:12201\"]\n";

fn minimal() -> Sources {
    Sources::default().with_text(Path::new("forebay.toml"), MINIMAL)
}

#[test]
fn the_commented_example_is_valid() {
    let text = include_str!("../../forebay.toml");
    let config =
        Config::parse(Path::new("forebay.toml"), text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.kinesis.len() + config.cloudtrail.len(), 3);
}

/// What is commented out in the example is valid too, and shows the default where it says so.
#[test]
fn what_the_example_has_commented_out_is_valid() {
    let text = include_str!("../../forebay.toml");
    let uncommented = text.lines().map(|line| {
        let rest = line.strip_prefix("# ").unwrap_or(line);
        let setting = rest.starts_with('[')
            || rest
                .split_once(" = ")
                .is_some_and(|(key, _)| !key.contains(' '));
        if setting { rest } else { line }
    });
    let text = uncommented.collect::<Vec<_>>().join("\n");
    assert_ne!(text, include_str!("../../forebay.toml"));
    Config::parse(Path::new("forebay.toml"), &text).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn an_unknown_key_is_reported_with_its_place_and_the_nearest_one() {
    insta::assert_snapshot!(problems(
        "[kinesis.flow]\nstraem = \"x\"\n[output.graylog]\naddress = [\"graylog:12201\"]\n"
    ));
}

#[test]
fn all_problems_of_a_file_are_reported_in_one_run() {
    insta::assert_snapshot!(problems(
        "[kinesis.flow]\nstream = \"\"\nbatch_size = 100000\ndecode = \"flowlogs\"\nflow_format = \"${srcaddr} ${srcaddr}\"\naws = \"audit\"\nnovel = 1\n[[kinesis.flow.route]]\nlog_group = \"*\"\ndecode = \"auto\"\nflow_format = \"x\"\n[output.gelf]\nprotocol = \"udp\"\naddress = [\"127.0.0.1\"]\n[cloudtrail.trail]\nvisibility = 5\n"
    ));
}

#[test]
fn two_inputs_have_two_names() {
    let report = problems(
        "[kinesis.logs]\nstream = \"a\"\n[cloudtrail.logs]\nqueue = \"b\"\n[output.x]\naddress = [\"a:1\"]\n",
    );
    assert!(
        report.contains("forebay.toml:3:13") && report.contains("same name"),
        "{report}"
    );
}

#[test]
fn two_streams_have_two_lease_tables() {
    let report = problems(
        "[kinesis.a]\nstream = \"a\"\n[kinesis.b]\nstream = \"b\"\nlease = { table = \"graylog-aws-plugin-a\" }\n[output.x]\naddress = [\"a:1\"]\n",
    );
    assert!(
        report.contains("forebay.toml:3:10")
            && report.contains("lease table `graylog-aws-plugin-a`"),
        "{report}"
    );
}

#[test]
fn a_worker_id_is_chosen_when_it_is_read() {
    let id = |text: &str| {
        let config = Config::parse(Path::new("forebay.toml"), &format!("{text}{MINIMAL}"));
        config.expect("valid").service.worker_id.to_string()
    };
    let [first, second] = [id(""), id("[service]\nworker_id = \"auto\"\n")];
    assert!(first != second && first != "auto" && second != "auto");
    assert_eq!(id("[service]\nworker_id = \"ada\"\n"), "ada");
    let report = problems(&format!("[service]\nworker_id = \"\"\n{MINIMAL}"));
    assert!(report.contains("forebay.toml:2:13"), "{report}");
}

#[test]
fn a_broken_text_is_reported_with_every_place() {
    insta::assert_snapshot!(problems(
        "[kinesis.flow\nstream = flow\n[output.x]\naddress = [\"a:1\"]\n"
    ));
}

#[test]
fn a_secret_is_never_written_in_the_file() {
    let report = problems(
        "[aws.default]\naccess_key = \"AKIA\"\nsecret_key = \"hunter2\"\n[kinesis.a]\nstream = \"x\"\n[output.x]\naddress = [\"a:1\"]\n",
    );
    assert!(!report.contains("hunter2"));
    insta::assert_snapshot!(report);
}

#[test]
fn durations_carry_their_unit() {
    insta::assert_snapshot!(problems("[service]\nshutdown_grace = 25\n"));
}

#[test]
fn an_empty_file_says_what_is_needed() {
    insta::assert_snapshot!(problems(""));
}

#[test]
fn the_environment_goes_before_the_file_and_the_command_line_before_both() {
    let environment = [
        ("FOREBAY_KINESIS__FLOW_LOGS__BATCH_SIZE", "500"),
        ("FOREBAY_KINESIS__FLOW_LOGS__DECODE", "flowlog"),
        ("FOREBAY_SERVICE__LOG", "debug"),
        ("FOREBAY_LOG", "not a setting"),
        ("HOME", "/root"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = [
        "kinesis.flow-logs.batch_size=700",
        "entities.regions=[\"eu-west-1\"]",
    ];
    let sources = minimal()
        .with_environment(environment)
        .with_settings(settings.map(str::to_owned));
    let config = load(sources.clone());
    assert_eq!(
        config.kinesis.len(),
        1,
        "the environment means the table that is there"
    );
    let input = &config.kinesis["flow-logs"];
    assert_eq!((input.batch_size, input.decode), (700, Decode::Flowlog));
    assert_eq!(config.service.log, "debug");
    assert_eq!(config.entities.regions, ["eu-west-1"]);
    insta::assert_snapshot!(Config::show(&sources).unwrap());
}

#[test]
fn a_problem_of_the_environment_or_the_command_line_names_it() {
    let environment = [("FOREBAY_SERVICE__LOG_FROMAT".to_owned(), "json".to_owned())];
    let sources = minimal()
        .with_environment(environment)
        .with_settings(["kinesis.flow-logs.batch_size=0".to_owned()]);
    insta::assert_snapshot!(sources_or_report(sources).unwrap_err().to_string());
}

#[test]
fn files_are_taken_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("10.toml"), MINIMAL).unwrap();
    std::fs::write(
        folder.path().join("20.toml"),
        "[kinesis.flow-logs]\nstream = \"other\"\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("note.txt"), "none of it").unwrap();
    let config = load(Sources::default().with_file(folder.path()));
    assert_eq!(config.kinesis["flow-logs"].stream, "other");
}

#[test]
fn a_start_is_a_word_or_a_time() {
    for (text, start) in [
        ("latest", Start::Latest),
        ("trim-horizon", Start::TrimHorizon),
        (
            "1970-01-01T00:00:10Z",
            Start::At(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(10)),
        ),
    ] {
        let settings = [format!("kinesis.flow-logs.start={text}")];
        assert_eq!(
            load(minimal().with_settings(settings)).kinesis["flow-logs"].start,
            start
        );
    }
}

#[test]
fn every_key_of_the_schema_has_a_description() {
    fn walk(path: &str, schema: &serde_json::Value, missing: &mut Vec<String>) {
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                let path = format!("{path}.{name}");
                if property["description"].as_str().is_none() && !path.starts_with(".$defs.Secret")
                {
                    missing.push(path.clone());
                }
                walk(&path, property, missing);
            }
        }
        if let Some(definitions) = schema["$defs"].as_object() {
            for (name, definition) in definitions {
                walk(&format!("{path}.$defs.{name}"), definition, missing);
            }
        }
    }
    let mut missing = Vec::new();
    walk("", &Config::schema(), &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

/// The README's table has a row for every setting of the plugin and of its successors.
#[test]
fn every_setting_of_the_plugin_has_its_place() {
    let page = include_str!("../../../../docs/migrate-from-graylog-plugin.md");
    for setting in PLUGIN_SETTINGS {
        assert!(page.contains(&format!("`{setting}`")), "{setting}");
    }
}

const PLUGIN_SETTINGS: [&str; 31] = [
    "throttling_allowed",
    "override_source",
    "aws_region",
    "aws_access_key",
    "aws_secret_key",
    "aws_assume_role_arn",
    "aws_external_id",
    "kinesis_stream_name",
    "kinesis_stream_arn",
    "kinesis_record_batch_size",
    "kinesis_max_throttled_wait",
    "kinesis_single_table_state_tracking",
    "aws_flow_log_prefix",
    "store_full_message",
    "aws_message_type",
    "aws_sqs_region",
    "aws_s3_region",
    "aws_sqs_queue_name",
    "polling_interval",
    "sqs_message_batch_size",
    "include_full_message_json",
    "cloudwatch_endpoint",
    "dynamodb_endpoint",
    "iam_endpoint",
    "kinesis_endpoint",
    "lookups_enabled",
    "lookup_regions",
    "access_key",
    "secret_key",
    "secret_key_salt",
    "proxy_enabled",
];

#[test]
fn settings_of_an_output_or_input_that_contradict_each_other_are_told() {
    let output = |settings: &str| {
        format!("[kinesis.a]\nstream = \"x\"\n[output.x]\naddress = [\"a:1\"]\n{settings}\n")
    };
    let input = |settings: &str| {
        format!("[output.x]\naddress = [\"a:1\"]\n[kinesis.a]\nstream = \"x\"\n{settings}\n")
    };
    let header = "headers = { Authorization = { env = \"X\" } }";
    for (text, expected) in [
        (output(header), "`headers` is for `protocol = \"http\"`"),
        (
            output(&format!("protocol = \"http\"\n{header}")),
            "in the clear to `a:1`",
        ),
        (
            output("protocol = \"http\"\nproxy = { url = \"http://p:1\", username = \"u\" }"),
            "`username` and `password` belong together",
        ),
        (
            output("protocol = \"http\"\nproxy = { url = \"https://p:1\" }"),
            "must be http://host:port",
        ),
        (
            output("danger_accept_invalid_certs = true\nca_file = \"x\""),
            "nobody looks at `ca_file`",
        ),
        (
            input("decode = \"raw\"\n[[kinesis.a.route]]\nlog_group = \"*\"\ndecode = \"auto\""),
            "have no log group",
        ),
        (
            input("[[kinesis.a.route]]\nlog_group = \"*\"\ndecode = \"raw\""),
            "a route is for log groups",
        ),
        (input("[dead_letter]\nqueue = \"x.fifo\""), "FIFO queue"),
        (
            input("[dead_letter]\naws = \"audit\""),
            "no credentials `audit`",
        ),
    ] {
        let report = problems(&text);
        assert!(report.contains(expected), "{expected}: {report}");
    }
}

#[test]
fn a_password_in_the_url_of_a_proxy_is_refused_and_not_shown() {
    let report = problems(
        "[kinesis.a]\nstream = \"x\"\n[output.x]\nprotocol = \"http\"\naddress = [\"a:1\"]\nproxy = { url = \"http://u:hunter2@p:1\" }\n",
    );
    assert!(
        report.contains("holds a user or a password") && !report.contains("hunter2"),
        "{report}"
    );
}
