//! Ports and adapters (store, broker, gate), use cases, relay and reaper.
