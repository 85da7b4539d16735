//! A process whose network is cut by the kernel, not by a proxy: it lives in a network namespace of its own. Linux, for
//! root; skipped elsewhere with a printed line.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    proxy::Proxy,
    scene::{PROCESSES, SHARDS, Scene},
};

/// The one that is cut off.
const VICTIM: usize = 0;

/// How a network is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The link is down.
    Both,
    /// What the process sends gets lost.
    Requests,
    /// What is sent to the process gets lost.
    Answers,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_a_network_loses_its_leases_and_nothing_else() {
    let network = match Network::new() {
        Ok(network) => network,
        Err(why) => {
            println!("skipped: a partition by a network namespace ({why})");
            return;
        }
    };
    let mut scene = Scene::start().await;
    for worker in (0..PROCESSES).filter(|worker| *worker != VICTIM) {
        scene.launch(worker);
    }
    scene.wait_for_leases().await;
    let owners = || scene.owners().into_values().collect::<BTreeSet<String>>();
    // The first may have taken every lease before the second came.
    let share = || owners().len() == PROCESSES - 1;
    within(LONG, "each has leases", share).await;
    let others = owners();
    let mut ways = Vec::new();
    for endpoint in scene.endpoints.all() {
        let target = endpoint.parse().expect("an address");
        let way = Proxy::before(target, IpAddr::V4(network.here)).await;
        *endpoint = way.address.to_string();
        ways.push(way);
    }
    scene.namespace = Some(network.name.clone());
    scene.launch(VICTIM);
    within(LONG, "it has leases", || !only(&scene, &others)).await;
    for cut in [Cut::Both, Cut::Requests, Cut::Answers] {
        network.cut(cut).expect("the network can be cut");
        let taken = within(LONG, "the others have its leases", || only(&scene, &others)).await;
        network.mend(cut).expect("the network can be mended");
        let back = within(LONG, "it has leases again", || !only(&scene, &others)).await;
        println!(
            "{cut:?} lost: leases taken over after {} ms, shared again {} ms after the end",
            taken.as_millis(),
            back.as_millis()
        );
    }
    let account = scene.finish().await;
    println!("{account}");
    account.check();
}

/// Whether these have every lease.
fn only(scene: &Scene, workers: &BTreeSet<String>) -> bool {
    let owners = scene.owners();
    owners.len() == SHARDS as usize && owners.values().all(|owner| workers.contains(owner))
}

/// Waits for something and tells how long it took.
async fn within(most: Duration, what: &str, happened: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < most, "{what}: not within {most:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

/// A network namespace and the only link into it; both go when it is dropped.
struct Network {
    name: String,
    here: Ipv4Addr,
    there: Ipv4Addr,
    /// The two ends of the link.
    outer: String,
    inner: String,
}

impl Network {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// What is missing for it: the tool, or the right to use it.
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        // Of the range for tests of network devices (RFC 2544); four addresses each.
        let [.., high, low] = (id % 0x4000 * 4).to_be_bytes();
        let network = Self {
            name: format!("forebay-{id}"),
            here: Ipv4Addr::new(198, 18, high, low | 1),
            there: Ipv4Addr::new(198, 18, high, low | 2),
            outer: format!("fo{id}"),
            inner: format!("fi{id}"),
        };
        let Self {
            name,
            here,
            there,
            outer,
            inner,
        } = &network;
        for command in [
            format!("netns add {name}"),
            format!("link add {outer} type veth peer name {inner} netns {name}"),
            format!("address add {here}/30 dev {outer}"),
            format!("link set {outer} up"),
            format!("-n {name} address add {there}/30 dev {inner}"),
            format!("-n {name} link set {inner} up"),
        ] {
            ip(&command)?;
        }
        Ok(network)
    }

    /// Cuts it: nothing tells so to either side.
    fn cut(&self, cut: Cut) -> Result<(), String> {
        let Self {
            name,
            here,
            there,
            outer,
            inner,
        } = self;
        // Frames to an address that no device has are dropped.
        let nobody = "lladdr 02:00:00:00:00:01 nud permanent";
        match cut {
            Cut::Both => ip(&format!("link set {outer} down")),
            Cut::Requests => ip(&format!(
                "-n {name} neighbour replace {here} dev {inner} {nobody}"
            )),
            Cut::Answers => ip(&format!("neighbour replace {there} dev {outer} {nobody}")),
        }
    }

    /// Ends a cut.
    fn mend(&self, cut: Cut) -> Result<(), String> {
        let Self {
            name,
            here,
            there,
            outer,
            inner,
        } = self;
        match cut {
            Cut::Both => ip(&format!("link set {outer} up")),
            Cut::Requests => ip(&format!("-n {name} neighbour delete {here} dev {inner}")),
            Cut::Answers => ip(&format!("neighbour delete {there} dev {outer}")),
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What was never made cannot be removed.
        let _ = ip(&format!("link delete {}", self.outer));
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

/// Runs `ip` of iproute2.
fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Several failover times, for busy cores.
const LONG: Duration = Duration::from_secs(30);
