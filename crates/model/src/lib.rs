//! The nouns of the director: services, destinations, addresses, routes, links.
#![forbid(unsafe_code)]
