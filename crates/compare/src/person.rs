//! What a person does, whatever the way: launch, and find out later.

use crate::{asynchronous, batch::Batch, by_events, synchronous};
use contract::comparison::{Notice, Way};
use reqwest::{Client, Method, RequestBuilder, header};

/// Somebody in a browser.
#[derive(Clone, Debug)]
pub struct Person {
    way: Way,
    client: Client,
    url: String,
    /// Cookie of the session; empty where nobody signs in.
    cookie: String,
}

/// What the answer to a launch leaves the person with.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// Ids by which the server knows the launch; empty if the answer was the result.
    pub ids: Vec<String>,
}

impl Person {
    /// Returns somebody who uses the server at `url`, and signs in where that is needed. The
    /// timeout of `client` is how long they wait for an answer.
    ///
    /// # Errors
    /// The server does not answer, or refuses the password.
    pub async fn new(
        way: Way,
        client: Client,
        url: String,
        password: &str,
    ) -> Result<Self, reqwest::Error> {
        let mut person = Self { way, client, url, cookie: String::new() };
        if way == Way::ByEvents {
            person.cookie = by_events::sign_in(&person, password).await?;
        }
        Ok(person)
    }

    /// Returns the same person at the new URL of a server that was restarted.
    pub fn at(&self, url: String) -> Self {
        Self { url, ..self.clone() }
    }

    /// Launches a batch, and returns what the answer says.
    ///
    /// # Errors
    /// No answer came, or it was an error.
    pub async fn launch(&self, batch: &Batch) -> Result<Receipt, reqwest::Error> {
        match self.way {
            Way::Synchronous => synchronous::send(self, batch).await,
            Way::Asynchronous => asynchronous::send(self, batch).await,
            Way::ByEvents => by_events::send(self, batch).await,
        }
    }

    /// Returns how the person learns the outcome of a launch; `receipt` is `None` if the launch was
    /// never answered.
    ///
    /// # Errors
    /// No answer came, or it was an error.
    pub async fn notice(&self, receipt: Option<&Receipt>) -> Result<Notice, reqwest::Error> {
        match (self.way, receipt) {
            (Way::Synchronous, receipt) => Ok(synchronous::notice(receipt)),
            (_, None) => Ok(Notice::None),
            (Way::Asynchronous, Some(receipt)) => asynchronous::notice(self, receipt).await,
            (Way::ByEvents, Some(receipt)) => by_events::notice(self, receipt).await,
        }
    }

    /// Returns whether the server itself says that it has finished a launch; `None` if it can't
    /// say.
    ///
    /// # Errors
    /// No answer came, or it was an error.
    pub async fn is_finished(&self, receipt: &Receipt) -> Result<Option<bool>, reqwest::Error> {
        Ok(match self.way {
            Way::Synchronous => Some(true),
            Way::Asynchronous => {
                asynchronous::ask(self, receipt).await?.map(|launch| launch.is_finished)
            }
            Way::ByEvents => Some(by_events::is_finished(self, receipt).await?),
        })
    }

    /// Returns a POST to the server.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path).header(header::ORIGIN, &self.url)
    }

    /// Returns a GET of the server.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        request.header(header::COOKIE, &self.cookie)
    }
}
