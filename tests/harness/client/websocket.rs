//! WebSocket.

use std::{net::SocketAddr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};

use super::{Duplex, tcp, tls};
use crate::scenario::soon;

/// An open WebSocket.
pub struct WebSocket {
    stream: WebSocketStream<Box<dyn Duplex>>,
}

impl WebSocket {
    /// Opens one over plain TCP.
    ///
    /// # Errors
    /// What the opening failed with.
    pub async fn open(address: SocketAddr, host: &str, path: &str) -> Result<Self, Error> {
        Self::over(Box::new(tcp(address).await), host, path).await
    }

    /// Opens one over TLS.
    ///
    /// # Errors
    /// What the opening failed with.
    ///
    /// # Panics
    /// When the handshake fails.
    pub async fn open_tls(
        address: SocketAddr,
        host: &str,
        path: &str,
        config: &Arc<ClientConfig>,
    ) -> Result<Self, Error> {
        let stream = tls(address, host, config).await.expect("the handshake succeeds");
        Self::over(Box::new(stream), host, path).await
    }

    async fn over(stream: Box<dyn Duplex>, host: &str, path: &str) -> Result<Self, Error> {
        let opening = client_async(format!("ws://{host}{path}"), stream);
        let (stream, _) = soon("the WebSocket opens", opening).await?;
        Ok(Self { stream })
    }

    /// Sends a text and waits for it to come back.
    ///
    /// # Errors
    /// What broke.
    pub async fn echo(&mut self, text: &str) -> Result<String, Error> {
        self.stream.send(Message::text(text)).await?;
        loop {
            match soon("a message", self.stream.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(_))) | None => return Err(Error::ConnectionClosed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// Sends bytes and waits for them to come back.
    ///
    /// # Errors
    /// What broke.
    pub async fn echo_bytes(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.stream.send(Message::binary(bytes)).await?;
        match soon("a message", self.stream.next()).await {
            Some(Ok(Message::Binary(bytes))) => Ok(bytes.to_vec()),
            Some(Ok(_)) | None => Err(Error::ConnectionClosed),
            Some(Err(error)) => Err(error),
        }
    }

    /// Waits for the other side to end it.
    ///
    /// # Panics
    /// When it does not soon.
    pub async fn closed(&mut self) {
        soon("the WebSocket closes", async { while let Some(Ok(_)) = self.stream.next().await {} }).await;
    }

    /// Closes it in good order.
    ///
    /// # Errors
    /// What broke.
    pub async fn close(mut self) -> Result<(), Error> {
        self.stream.close(None).await?;
        soon("the other side closes too", async { while let Some(Ok(_)) = self.stream.next().await {} }).await;
        Ok(())
    }
}
