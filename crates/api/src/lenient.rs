//! Specs that may be missing altogether.
//!
//! Upstream's schema requires `spec` of few kinds, and users do write an `L2Advertisement` without
//! one, while the root types that kube derives insist on the field. A spec that deserializes *as an
//! option* parses from nothing (and from `null`) without a second struct for each kind.

/// Lets a spec marked `#[serde(remote = "Self")]` parse from a missing or null value to its default.
macro_rules! absent_is_default {
    ($spec:ident) => {
        impl<'de> ::serde::Deserialize<'de> for $spec {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                struct Spec;

                impl<'de> ::serde::de::Visitor<'de> for Spec {
                    type Value = $spec;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(stringify!($spec))
                    }

                    fn visit_none<E: ::serde::de::Error>(self) -> Result<$spec, E> {
                        Ok(<$spec>::default())
                    }

                    fn visit_unit<E: ::serde::de::Error>(self) -> Result<$spec, E> {
                        self.visit_none()
                    }

                    fn visit_some<D: ::serde::Deserializer<'de>>(
                        self,
                        deserializer: D,
                    ) -> Result<$spec, D::Error> {
                        // The function that the derive made: an inherent one comes before the trait's.
                        <$spec>::deserialize(deserializer)
                    }
                }

                deserializer.deserialize_option(Spec)
            }
        }

        impl ::serde::Serialize for $spec {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$spec>::serialize(self, serializer)
            }
        }
    };
}

pub(crate) use absent_is_default;
