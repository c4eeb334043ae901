//! The pages: components, routes, server functions.
