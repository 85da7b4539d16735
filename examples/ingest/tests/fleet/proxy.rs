//! A proxy whose weather changes while connections are open.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What happens to every connection, from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Weather {
    /// Everything passes.
    Fair,
    /// Each piece of data waits this long.
    Delay(Duration),
    /// Open connections are reset, and so are new ones.
    Reset,
    /// Nothing passes in either direction, and nothing tells so: a black hole. What was sent passes afterwards.
    Hole,
    /// Requests pass, answers do not.
    Mute,
}

/// A proxy before one service.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    weather: watch::Sender<Weather>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// A proxy before `target` on an address of this machine, in fair weather.
    pub(crate) async fn before(target: SocketAddr, at: IpAddr) -> Self {
        let listener = TcpListener::bind((at, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (weather, seen) = watch::channel(Weather::Fair);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        connections.spawn(connection(client, target, seen.clone()));
                    }
                    Some(_) = connections.join_next(), if !connections.is_empty() => {}
                }
            }
        });
        Self {
            address,
            weather,
            _connections: tasks,
        }
    }

    /// Changes the weather for open and new connections.
    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

/// Passes one connection on until either side ends it or the weather does.
async fn connection(
    mut client: TcpStream,
    target: SocketAddr,
    mut weather: watch::Receiver<Weather>,
) {
    let mut storm = weather.clone();
    let passing = async {
        weather.wait_for(|now| *now != Weather::Hole).await.ok();
        let mut server = TcpStream::connect(target).await?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        tokio::try_join!(
            pass(&mut from_client, &mut to_server, weather.clone(), false),
            pass(&mut from_server, &mut to_client, weather.clone(), true),
        )
    };
    let in_order = tokio::select! {
        passed = passing => passed.is_ok(),
        _ = storm.wait_for(|now| *now == Weather::Reset) => false,
    };
    if in_order {
        return;
    }
    // Makes the close a reset: an orderly one would tell a sender that everything was read.
    client.set_zero_linger().expect("an open socket");
}

/// Passes one direction on, and its end.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut weather: watch::Receiver<Weather>,
    answers: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1_024];
    loop {
        let count = from.read(&mut buffer).await?;
        let passes = |now: &Weather| match now {
            Weather::Hole => false,
            Weather::Mute => !answers,
            Weather::Fair | Weather::Delay(_) | Weather::Reset => true,
        };
        // The proxy has gone if this fails.
        let now = weather.wait_for(passes).await.map(|now| *now);
        if let Ok(Weather::Delay(time)) = now {
            tokio::time::sleep(time).await;
        }
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
