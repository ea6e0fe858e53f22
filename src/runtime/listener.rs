//! The port clients connect to.
//!
//! Guarantees a backlog that takes 10,000 clients at once, and that running out of file descriptors
//! slows accepting down instead of spinning. It closes what is over the limit; it never ends by itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use super::connection;
use super::driver::Driver;
use super::limits::{ACCEPT_REST, LISTEN_BACKLOG, PORTS_TRIED};

/// Why no port could be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("ports {first} to {last} on {address} are all taken")]
    AllTaken {
        address: IpAddr,
        first: u16,
        last: u16,
    },
    #[error("cannot listen on {address}: {cause}")]
    Refused {
        address: SocketAddr,
        cause: io::Error,
    },
}

/// Listens on `port`, or on the next free one after it; 0 is any free port.
///
/// # Errors
/// The address is not ours, or every port tried is taken.
pub fn bind(address: IpAddr, port: u16) -> Result<std::net::TcpListener, BindError> {
    let last = port.saturating_add(PORTS_TRIED);
    for candidate in port..=last {
        let address = SocketAddr::new(address, candidate);
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && port != 0 => {}
            Err(cause) => return Err(BindError::Refused { address, cause }),
        }
    }
    Err(BindError::AllTaken {
        address,
        first: port,
        last,
    })
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // On Windows the option would let two programs share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// Accepts clients until dropped, at most `allowed` at a time. `is_own` tells klar's own from others.
pub async fn accept(
    listener: TcpListener,
    driver: Rc<Driver>,
    allowed: usize,
    is_own: impl Fn(SocketAddr) -> bool,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => welcome(&driver, stream, peer, allowed, is_own(peer)),
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept: {error}");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

fn welcome(driver: &Rc<Driver>, stream: TcpStream, peer: SocketAddr, allowed: usize, own: bool) {
    if driver.connections() >= allowed && !own {
        drop(stream);
        driver.note_refusal(
            peer,
            format!("{allowed} connections are open, as many as the limit on open files allows"),
        );
        return;
    }
    spawn_local(connection::serve(Rc::clone(driver), stream, peer, own));
}

/// The client went away between its knock and our answer.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_taken_port_leads_to_the_next() {
        let first = bind(Ipv4Addr::LOCALHOST.into(), 0).unwrap();
        let port = first.local_addr().unwrap().port();
        let second = bind(Ipv4Addr::LOCALHOST.into(), port).unwrap();
        assert!(second.local_addr().unwrap().port() > port);
    }

    #[test]
    fn an_address_of_another_machine_is_refused_with_its_name() {
        let error = bind("192.0.2.1".parse().unwrap(), 9092).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1:9092"), "{error}");
    }
}
