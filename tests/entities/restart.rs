//! The loop, and what survives the process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_entity::{
    Config, FieldSet, Observer, Refresher, Scope, Summary, Table, service_ranges,
};
use tokio::time::Instant;

use crate::refresh::{Heard, at, id, refresher, small};
use crate::script::{Answer, Endpoint};

#[tokio::test(start_paused = true)]
async fn a_restart_knows_names_before_the_first_answer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("entities.json");
    let config = Config {
        snapshot_file: Some(path.clone()),
        ..Config::default()
    };
    let endpoint = Endpoint::new(small);
    let (mut first, table) =
        refresher(&endpoint, &["eu-west-1", "us-east-1"], config.clone()).await;
    first.refresh_once(at(1000), &()).await;
    let before: Vec<String> = fields(&table);

    // The next process reads us-east-1 no more, and AWS does not answer.
    endpoint.answer(|_| Answer::Silence);
    let (mut second, table) = refresher(&endpoint, &["eu-west-1"], config.clone()).await;
    let heard = Heard::default();
    second.restore(&heard).await;
    assert!(heard.take().is_empty());
    let index = table.load();
    assert_eq!(fields(&table), before);
    assert_eq!(index.age(at(1060)), Some(Duration::from_secs(60)));
    assert!(
        index
            .parts()
            .iter()
            .all(|part| part.origin().region() == "eu-west-1")
    );

    std::fs::write(&path, "{\"layout\":1,").unwrap();
    let (mut third, table) = refresher(&endpoint, &["eu-west-1"], config).await;
    third.restore(&heard).await;
    assert!(table.load().is_empty());
    let told = heard.take();
    assert!(
        matches!(told.as_slice(), [line] if line.starts_with("file: line 1, column ")),
        "{told:?}"
    );
}

fn fields(table: &Table) -> Vec<String> {
    let index = table.load();
    ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        .iter()
        .filter_map(|address| {
            index
                .lookup(address.parse().unwrap(), &Scope::default())
                .entity()
        })
        .flat_map(|entity| {
            entity
                .fields(FieldSet::Extended)
                .map(|field| format!("{}={}", field.suffix, field.value))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_loop_keeps_its_interval_and_ends_at_once() {
    #[derive(Default)]
    struct Times(Mutex<Vec<Instant>>);
    impl Observer for Times {
        fn refreshed(&self, summary: &Summary) {
            assert_eq!(summary.failed, 0);
            self.0.lock().unwrap().push(Instant::now());
        }
    }
    let endpoint = Endpoint::new(small);
    let (refresher, table) = refresher(&endpoint, &["eu-west-1"], Config::default()).await;
    let times = Arc::new(Times::default());
    let shutdown = tokio::time::sleep(Duration::from_secs(601));
    let started = Instant::now();
    refresher.run(|| at(1000), shutdown, &*times).await;
    assert_eq!(started.elapsed(), Duration::from_secs(601));
    let times = times.0.lock().unwrap();
    // Ten minutes of 60 to 66 seconds each, and the first at the start.
    assert!((10..=11).contains(&times.len()), "{}", times.len());
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses
            .iter()
            .all(|pause| (59..=67).contains(&pause.as_secs())),
        "{pauses:?}"
    );
    assert!(
        pauses
            .windows(2)
            .any(|pair| pair[0].abs_diff(pair[1]) > Duration::from_millis(50)),
        "no jitter: {pauses:?}"
    );
    assert_eq!(id(&table.load(), "10.0.0.1").as_deref(), Some("i-web"));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_silent_endpoint() {
    let endpoint = Endpoint::new(|_| Answer::Silence);
    let (refresher, _) = refresher(&endpoint, &["eu-west-1"], Config::default()).await;
    let started = Instant::now();
    refresher
        .run(|| at(1000), tokio::time::sleep(Duration::from_secs(3)), &())
        .await;
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn a_bad_setting_is_refused_at_the_start() {
    let config = Config {
        interval: Duration::from_secs(1),
        ..Config::default()
    };
    let refused = Refresher::new(Vec::new(), config, Table::default(), 1).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`interval` must be at least 10 s: EC2 throttles its describe calls per account"
    );
}

#[tokio::test(start_paused = true)]
async fn published_ranges_are_there_before_and_after_a_refresh() {
    let file =
        br#"{"prefixes":[{"ip_prefix":"52.92.0.0/17","region":"eu-west-1","service":"S3"}]}"#;
    let endpoint = Endpoint::new(small);
    let (refresher, table) = refresher(&endpoint, &["eu-west-1"], Config::default()).await;
    let mut refresher = refresher.with_part(service_ranges(file).unwrap());
    refresher.restore(&()).await;
    assert_eq!(id(&table.load(), "52.92.0.1").as_deref(), Some("S3"));
    refresher.refresh_once(at(1000), &()).await;
    assert_eq!(id(&table.load(), "52.92.0.1").as_deref(), Some("S3"));
    assert_eq!(id(&table.load(), "10.0.0.3").as_deref(), Some("nat-1"));
}
