//! Composition root: CLI, configuration, router, sessions, REST API, hub.
