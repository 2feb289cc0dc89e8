//! Tests against the running kernel, each in a network namespace of its own.

#[cfg(test)]
mod links;
#[cfg(test)]
mod namespace;
#[cfg(test)]
mod packet;
#[cfg(test)]
mod privileges;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod tcp;
