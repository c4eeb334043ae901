//! Exchanges and queues, declared again on each connection.

use super::Error;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

/// Where commands are published; each queue is bound by its own name.
pub const COMMANDS: &str = "meanwhile.commands";
/// Where facts are published, by their kind.
pub const FACTS: &str = "meanwhile.facts";
/// Facts that wait for a node that is slow: older ones are dropped, and the
/// node finds the gap.
const BACKLOG: i64 = 10_000;

/// Declares the queues of commands, and returns those that hold nothing and
/// have no consumer that could hold what is not acknowledged. AMQP does not say
/// whether a queue is new, and asking for one that does not exist is an error
/// that closes the channel.
pub async fn declare(channel: &Channel, queues: &[String]) -> Result<Vec<String>, Error> {
    let mut empty = Vec::new();
    exchange(channel, COMMANDS, ExchangeKind::Direct).await?;
    for queue in queues {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let name = ShortString::from(queue.as_str());
        let declared = channel.queue_declare(name.clone(), durable, of_commands()).await?;
        if declared.message_count() == 0 && declared.consumer_count() == 0 {
            empty.push(queue.clone());
        }
        bind(channel, name.clone(), COMMANDS, name).await?;
    }
    Ok(empty)
}

/// The queue of one node's own, bound to facts by these keys; its name.
pub async fn declare_own(channel: &Channel, keys: &[&str]) -> Result<ShortString, Error> {
    exchange(channel, FACTS, ExchangeKind::Topic).await?;
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(BACKLOG));
    let declared = channel.queue_declare("".into(), own, arguments).await?;
    for key in keys {
        bind(channel, declared.name().clone(), FACTS, ShortString::from(*key)).await?;
    }
    Ok(declared.name().clone())
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(ShortString::from(name), kind, durable, FieldTable::default()).await?;
    Ok(())
}

async fn bind(
    channel: &Channel,
    queue: ShortString,
    exchange: &str,
    key: ShortString,
) -> Result<(), Error> {
    let (exchange, options) = (ShortString::from(exchange), QueueBindOptions::default());
    channel.queue_bind(queue, exchange, key, options, FieldTable::default()).await?;
    Ok(())
}

/// No dead-letter exchange and no delays: both are rows, where they can be
/// seen. The delivery limit is far above what a worker that dies again and
/// again takes to be poison in SQL.
fn of_commands() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000));
    table.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(100_000));
    table
}
