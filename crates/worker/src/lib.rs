//! Consumers: one file a command, chains, connectors to the outside.
