//! How a domain's file declares its types.

/// A table of types: for each its line, struct, name, aliases, required members, optional members, role, and an
/// example.
macro_rules! types {
    ($domain:literal; $(
        #[doc = $line:literal]
        $payload:ident = $name:literal $(also [$($alias:literal),* $(,)?])? {
            $(needs { $($(#[$need_doc:meta])* $need:ident: $need_type:ty),* $(,)? })?
            $(may { $($(#[$may_doc:meta])* $may:ident: $may_type:ty),* $(,)? })?
            role $role:expr;
            example $example:tt
        }
    )*) => {
        $(
            #[doc = $line]
            #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            #[allow(missing_docs, reason = "members whose name says it all have no text")]
            pub struct $payload {
                $($($(#[$need_doc])* pub $need: $need_type,)*)?
                $($(
                    $(#[$may_doc])*
                    #[serde(default, skip_serializing_if = "Option::is_none")]
                    pub $may: Option<$may_type>,
                )*)?
                /// Members that are not known here.
                #[serde(flatten)]
                pub more: serde_json::Map<String, serde_json::Value>,
            }

            impl $crate::event::payload::Payload for $payload {
                const NAME: &'static str = $name;
            }
        )*

        /// The types of this domain.
        pub(in crate::event) fn types() -> Vec<$crate::event::TypeInfo> {
            vec![$(
                $crate::event::TypeInfo::built_in(
                    ($name, $domain, $line),
                    <$payload as $crate::event::payload::Payload>::VERSION,
                    &[$($($alias),*)?],
                    $role,
                    $crate::event::type_info::schema_of!($payload),
                    serde_json::json!($example),
                ),
            )*]
        }

        #[cfg(test)]
        #[test]
        fn every_example_is_read_and_written_without_loss() {
            $({
                let example = serde_json::json!($example);
                let read: $payload = serde_json::from_value(example.clone()).expect($name);
                assert!(read.more.is_empty(), "{}: {:?} are not members of it", $name, read.more);
                assert_eq!(serde_json::to_value(&read).unwrap(), example, "{}", $name);
            })*
        }
    };
}
