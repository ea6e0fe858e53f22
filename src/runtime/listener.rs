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

/// A port that stays ours while nobody listens on it, so that a broker that died comes back on it.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// Bound and never listening: whoever connects is refused, whoever wants the port is turned away.
    #[cfg(target_os = "linux")]
    _reserved: Socket,
}

impl Port {
    /// Takes a port and listens on it; 0 is any free one.
    fn take(wished: SocketAddr) -> io::Result<(Port, std::net::TcpListener)> {
        #[cfg(target_os = "linux")]
        let (address, reserved) = {
            let reserved = bound(wished)?;
            let address = reserved.local_addr()?.as_socket().unwrap_or(wished);
            (address, reserved)
        };
        #[cfg(not(target_os = "linux"))]
        let address = wished;
        let listener = listen(address)?;
        let port = Port {
            address: listener.local_addr()?,
            #[cfg(target_os = "linux")]
            _reserved: reserved,
        };
        Ok((port, listener))
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens on it again.
    ///
    /// # Errors
    /// Somebody listens on it: the broker itself, or a program that was quicker.
    pub fn listen(&self) -> io::Result<std::net::TcpListener> {
        listen(self.address)
    }
}

/// Listens on as many ports in a row, beginning at `port` or as soon after it as they are free; 0 is
/// anywhere.
///
/// # Errors
/// The address is not ours, or there is no such row among the ports tried.
pub fn bind_row(
    address: IpAddr,
    port: u16,
    count: u16,
) -> Result<Vec<(Port, std::net::TcpListener)>, BindError> {
    let mut first = port;
    for _ in 0..=PORTS_TRIED {
        match row(address, first, count) {
            Ok(ports) => return Ok(ports),
            Err((taken, cause)) if cause.kind() == io::ErrorKind::AddrInUse => {
                // Behind the one that is taken; without a wish, anywhere else.
                first = match port {
                    0 => 0,
                    _ => taken.saturating_add(1),
                };
            }
            Err((port, cause)) => {
                let address = SocketAddr::new(address, port);
                return Err(BindError::Refused { address, cause });
            }
        }
        if first == u16::MAX || first > port.saturating_add(PORTS_TRIED) && port != 0 {
            break;
        }
    }
    Err(BindError::AllTaken {
        address,
        first: port,
        last: port.saturating_add(PORTS_TRIED),
    })
}

/// Listens on exactly these ports; or which of them cannot be had, and why.
fn row(
    address: IpAddr,
    first: u16,
    count: u16,
) -> Result<Vec<(Port, std::net::TcpListener)>, (u16, io::Error)> {
    let mut ports: Vec<(Port, std::net::TcpListener)> = Vec::new();
    for _ in 0..count {
        let next = match ports.last() {
            Some((port, _)) => port.address().port().checked_add(1),
            None => Some(first),
        };
        let taken = || (u16::MAX, io::ErrorKind::AddrInUse.into());
        let next = next.ok_or_else(taken)?;
        let port = Port::take(SocketAddr::new(address, next)).map_err(|error| (next, error))?;
        ports.push(port);
    }
    Ok(ports)
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = bound(address)?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
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
    Ok(socket)
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
    fn a_row_begins_behind_a_taken_port() {
        let taken = bind_row(Ipv4Addr::LOCALHOST.into(), 0, 1).unwrap();
        let port = taken[0].0.address().port();
        let row = bind_row(Ipv4Addr::LOCALHOST.into(), port, 3).unwrap();
        let ports: Vec<u16> = row.iter().map(|(port, _)| port.address().port()).collect();
        assert!(ports[0] > port);
        assert_eq!(ports, [ports[0], ports[0] + 1, ports[0] + 2]);
    }

    #[test]
    fn a_port_nobody_listens_on_refuses_and_can_be_listened_on_again() {
        let (port, listener) = bind_row(Ipv4Addr::LOCALHOST.into(), 0, 1)
            .unwrap()
            .remove(0);
        assert!(port.listen().is_err(), "it is listened on");
        drop(listener);
        assert!(std::net::TcpStream::connect(port.address()).is_err());
        let _again = port.listen().unwrap();
        std::net::TcpStream::connect(port.address()).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_refused_with_its_name() {
        let error = bind_row("192.0.2.1".parse().unwrap(), 9092, 1).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1:9092"), "{error}");
    }
}
