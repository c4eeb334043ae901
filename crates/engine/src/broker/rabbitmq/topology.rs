//! Exchanges and queues, which are declared on each connection.

use super::Error;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

/// Exchange of commands. Each queue is bound to it by its own name.
pub const COMMANDS_EXCHANGE: &str = "meanwhile.commands";
/// Exchange of all hub events, of which most are facts. The routing key of an event is
/// its kind, such as `task.succeeded`.
pub const FACTS_EXCHANGE: &str = "meanwhile.facts";
/// Maximum number of events that wait for a slow node. Older ones are dropped, and the
/// node finds the gap.
const MAX_NODE_BACKLOG: i64 = 10_000;

/// Declares the command queues, and returns those that have no ready message and no
/// consumer that could have unacknowledged ones. AMQP does not say whether a queue is new,
/// and a passive declaration of a missing queue is an error that closes the channel.
pub async fn declare_command_queues(
    channel: &Channel,
    queues: &[String],
) -> Result<Vec<String>, Error> {
    let mut empty = Vec::new();
    declare_exchange(channel, COMMANDS_EXCHANGE, ExchangeKind::Direct).await?;
    for queue in queues {
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        let name = ShortString::from(queue.as_str());
        let declared =
            channel.queue_declare(name.clone(), durable, command_queue_arguments()).await?;
        if declared.message_count() == 0 && declared.consumer_count() == 0 {
            empty.push(queue.clone());
        }
        bind_queue(channel, name.clone(), COMMANDS_EXCHANGE, name).await?;
    }
    Ok(empty)
}

/// Declares the queue of one node, bound to the events with these routing keys, and returns
/// its name.
pub async fn declare_node_queue(
    channel: &Channel,
    routing_keys: &[&str],
) -> Result<ShortString, Error> {
    declare_exchange(channel, FACTS_EXCHANGE, ExchangeKind::Topic).await?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(MAX_NODE_BACKLOG));
    let declared = channel.queue_declare("".into(), options, arguments).await?;
    for routing_key in routing_keys {
        bind_queue(
            channel,
            declared.name().clone(),
            FACTS_EXCHANGE,
            ShortString::from(*routing_key),
        )
        .await?;
    }
    Ok(declared.name().clone())
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), Error> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(ShortString::from(name), kind, durable, FieldTable::default()).await?;
    Ok(())
}

async fn bind_queue(
    channel: &Channel,
    queue: ShortString,
    exchange: &str,
    routing_key: ShortString,
) -> Result<(), Error> {
    let (exchange, options) = (ShortString::from(exchange), QueueBindOptions::default());
    channel.queue_bind(queue, exchange, routing_key, options, FieldTable::default()).await?;
    Ok(())
}

/// Returns the arguments of a command queue. It has no dead-letter exchange and no delays,
/// because both are rows in SQL, where they are visible. The delivery limit is far above the
/// number of lost workers after which SQL fails a task.
fn command_queue_arguments() -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(1_000));
    table.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(100_000));
    table
}
